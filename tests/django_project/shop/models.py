"""What the shop has jobs for."""

from django.db import models

from earwitness_client.django.models import RequestsJobs


class Order(RequestsJobs):
    """An order, for which a call is made."""

    phone = models.CharField(max_length=32)
