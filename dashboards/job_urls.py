"""Addresses of pages about agent jobs."""

from __future__ import annotations

from django.urls import path

from dashboards.views import jobs

urlpatterns = [
    path("jobs", jobs.page, name="jobs"),
    path("jobs/new", jobs.new, name="job_new"),
    path("jobs/estimate", jobs.estimate, name="job_estimate"),
    path("jobs/create", jobs.create, name="job_create"),
    path("jobs/schedules/make", jobs.make_schedule, name="job_schedule_make"),
    path("jobs/schedules/change", jobs.change_schedule, name="job_schedule_change"),
    path("jobs/<str:job_id>", jobs.job, name="job"),
    path("jobs/<str:job_id>/cancel", jobs.cancel, name="job_cancel"),
    path("jobs/<str:job_id>/retry", jobs.retry, name="job_retry"),
    path("jobs/<str:job_id>/change", jobs.change, name="job_change"),
]
