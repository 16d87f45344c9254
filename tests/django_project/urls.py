"""The admin's pages, and an asynchronous view."""

from django.contrib import admin
from django.urls import path
from shop.views import keep

urlpatterns = [path("admin/", admin.site.urls), path("keep/<str:recording_id>", keep)]
