"""What Salesforce says of jobs and batches, field by field, as its references show the replies."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_sfbulk.client.bulk1.models import BatchInfo, BatchState, Bulk1Job, Bulk1JobState, ContentType
from airflow_provider_sfbulk.client.errors import ProtocolError
from airflow_provider_sfbulk.client.models import ConcurrencyMode, JobInfo, JobState

JOB_ID, BATCH_ID, USER_ID = "7508d000003QaLpAAK", "7518d000003aBcDAAU", "0058d000003PqRsAAK"
MOMENT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
LATER = datetime(2026, 3, 4, 5, 8, 9, tzinfo=UTC)

INGEST: dict[str, Any] = {
    "id": JOB_ID,
    "operation": "upsert",
    "object": "Contact",
    "createdById": USER_ID,
    "createdDate": "2026-03-04T05:06:07.000+0000",
    "systemModstamp": "2026-03-04T05:08:09.000+0000",
    "state": "JobComplete",
    "externalIdFieldName": "Crm_Key__c",
    "assignmentRuleId": "01Q8d000000AbCdEAK",
    "concurrencyMode": "Parallel",
    "contentType": "CSV",
    "apiVersion": 66.0,
    "jobType": "V2Ingest",
    "contentUrl": f"services/data/v66.0/jobs/ingest/{JOB_ID}/batches",
    "lineEnding": "CRLF",
    "columnDelimiter": "TAB",
    "retries": 1,
    "totalProcessingTime": 505,
    "apiActiveProcessingTime": 304,
    "apexProcessingTime": 203,
    "numberRecordsProcessed": 100,
    "numberRecordsFailed": 7,
    "errorMessage": "none to speak of",
    "isPkChunkingSupported": False,
    "somethingNew": "from the next release",
}

JOB1 = {
    "id": JOB_ID,
    "operation": "insert",
    "object": "Account",
    "createdById": USER_ID,
    "createdDate": "2026-03-04T05:06:07.000Z",
    "systemModstamp": "2026-03-04T05:08:09.000Z",
    "state": "Closed",
    "externalIdFieldName": "Crm_Key__c",
    "assignmentRuleId": "01Q8d000000AbCdEAK",
    "concurrencyMode": "Serial",
    "contentType": "XML",
    "numberBatchesQueued": "1",
    "numberBatchesInProgress": "2",
    "numberBatchesCompleted": "3",
    "numberBatchesFailed": "4",
    "numberBatchesTotal": "10",
    "numberRecordsProcessed": "100",
    "numberRetries": "5",
    "apiVersion": "66.0",
    "numberRecordsFailed": "7",
    "totalProcessingTime": "505",
    "apiActiveProcessingTime": "304",
    "apexProcessingTime": "203",
}

BATCH = {
    "id": BATCH_ID,
    "jobId": JOB_ID,
    "state": "Failed",
    "stateMessage": "InvalidBatch : Field name not found : Foo__c",
    "createdDate": "2026-03-04T05:06:07.000Z",
    "systemModstamp": "2026-03-04T05:08:09.000Z",
    "numberRecordsProcessed": "100",
    "numberRecordsFailed": "7",
    "totalProcessingTime": "505",
    "apiActiveProcessingTime": "304",
    "apexProcessingTime": "203",
}


@pytest.mark.parity(
    "K3.1",
    "K3.2",
    "K3.3",
    "K3.5",
    "K3.6",
    "K3.7",
    "K3.8",
    "K10.2",
    "I1.1",
    "I1.2",
    "I1.3",
    "I1.4",
    "I1.5",
    "I1.6",
    "I1.8",
    "I1.9",
    "I1.10",
    "I1.11",
    "I1.12",
    "I1.13",
    "I1.14",
    "I1.15",
    "I1.17",
)
def test_every_field_of_a_job_is_read() -> None:
    job = JobInfo.from_json(INGEST)
    assert job == JobInfo(
        id=JOB_ID,
        state=JobState.JOB_COMPLETE,
        operation="upsert",
        object="Contact",
        created_by_id=USER_ID,
        created_date=MOMENT,
        system_modstamp=LATER,
        external_id_field_name="Crm_Key__c",
        assignment_rule_id="01Q8d000000AbCdEAK",
        concurrency_mode="Parallel",
        content_type="CSV",
        api_version="66.0",
        job_type="V2Ingest",
        content_url=f"services/data/v66.0/jobs/ingest/{JOB_ID}/batches",
        line_ending="CRLF",
        column_delimiter="TAB",
        number_records_processed=100,
        number_records_failed=7,
        retries=1,
        total_processing_time=505,
        api_active_processing_time=304,
        apex_processing_time=203,
        error_message="none to speak of",
        is_pk_chunking_supported=False,
    )
    assert (job.successful, job.failed, job.is_final, job.is_successful) == (93, 7, True, False)
    assert JobInfo.from_dict(job.to_dict()) == job


@pytest.mark.parity("I1.16")
def test_what_a_reply_lacks_is_none() -> None:
    job = JobInfo.from_json({"id": JOB_ID, "state": "Open", "operation": "insert"})
    assert job.to_dict() == {"id": JOB_ID, "state": "Open", "operation": "insert"}
    assert (job.number_records_processed, job.processed, job.is_final) == (None, 0, False)


@pytest.mark.parametrize("state", ["Open", "UploadComplete", "InProgress", "JobComplete", "Failed", "Aborted"])
@pytest.mark.parity("K3.4", "I1.7")
def test_every_state_is_known(state: str) -> None:
    job = JobInfo.from_json({**INGEST, "state": state})
    assert str(job.state) == state
    assert job.is_final == (state in {"JobComplete", "Failed", "Aborted"})


@pytest.mark.parametrize(
    "wrong", [{"id": None}, {"id": "../x"}, {"state": "Done"}, {"numberRecordsFailed": "many"}, {"createdDate": "x"}]
)
def test_a_job_that_is_none_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        JobInfo.from_json({**INGEST, **wrong})


@pytest.mark.parity(
    "G4.1",
    "G4.2",
    "G4.3",
    "G4.6",
    "G4.7",
    "G4.9",
    "G4.10",
    "G4.11",
    "G4.12",
    "G4.13",
    "G4.14",
    "G4.15",
    "G4.16",
    "G4.17",
    "G4.21",
    "G4.22",
)
def test_every_field_of_a_classic_job_is_read() -> None:
    job = Bulk1Job.of(JOB1)
    assert job == Bulk1Job(
        id=JOB_ID,
        created_date=MOMENT,
        system_modstamp=LATER,
        number_records_processed=100,
        number_records_failed=7,
        total_processing_time=505,
        api_active_processing_time=304,
        apex_processing_time=203,
        state=Bulk1JobState.CLOSED,
        operation="insert",
        object="Account",
        content_type=ContentType.XML,
        concurrency_mode=ConcurrencyMode.SERIAL,
        created_by_id=USER_ID,
        external_id_field_name="Crm_Key__c",
        assignment_rule_id="01Q8d000000AbCdEAK",
        api_version="66.0",
        number_batches_queued=1,
        number_batches_in_progress=2,
        number_batches_completed=3,
        number_batches_failed=4,
        number_batches_total=10,
        number_retries=5,
    )


@pytest.mark.parametrize("state", ["Open", "Closed", "Aborted", "Failed"])
@pytest.mark.parity("G4.20")
def test_every_state_of_a_classic_job_is_known(state: str) -> None:
    assert str(Bulk1Job.of({**JOB1, "state": state}).state) == state


@pytest.mark.parity("G6.1", "G6.2", "G6.3", "G6.4", "G6.5", "G6.6", "G6.7", "G6.9")
def test_every_field_of_a_batch_is_read() -> None:
    assert BatchInfo.of(BATCH) == BatchInfo(
        id=BATCH_ID,
        created_date=MOMENT,
        system_modstamp=LATER,
        number_records_processed=100,
        number_records_failed=7,
        total_processing_time=505,
        api_active_processing_time=304,
        apex_processing_time=203,
        job_id=JOB_ID,
        state=BatchState.FAILED,
        state_message="InvalidBatch : Field name not found : Foo__c",
    )


@pytest.mark.parametrize("state", ["Queued", "InProgress", "Completed", "Failed", "NotProcessed", "Not Processed"])
def test_every_state_of_a_batch_is_known(state: str) -> None:
    batch = BatchInfo.of({**BATCH, "state": state})
    assert str(batch.state) == state.replace(" ", "")
    assert batch.is_final == (state not in {"Queued", "InProgress"})
