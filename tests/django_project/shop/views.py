"""An asynchronous view."""

from django.http import JsonResponse

from earwitness_client.django import asend, get_async_client


async def keep(_request, recording_id):
    """Have a recording archived."""
    job = await asend(
        get_async_client().recording.download,
        account="india",
        recording_id=recording_id,
        request_id=f"keep-{recording_id}",
    )
    return JsonResponse({"job": job.job_id, "state": job.state}, status=202)
