"""Agents as data: what a team's agents are told, which tools they have, how they work together. Every version is kept."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from tracking.models.teams import Team, one_line


class AgentDefinition(models.Model):
    """An agent that a team made. What it is stands in its versions; ``version`` is the one that jobs get."""

    pk = models.CompositePrimaryKey("team_id", "id")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="+", db_index=False)  # the key begins with it
    id = models.UUIDField()
    name = models.CharField(max_length=200, validators=[one_line])
    version = models.IntegerField()
    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    archived_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["team", "name"], name="agent_definition_name")]

    def __str__(self) -> str:
        return self.name


class AgentVersion(models.Model):
    """What an agent was from one saving to the next; never changed."""

    pk = models.CompositePrimaryKey("team_id", "definition_id", "version")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="+", db_index=False)
    definition_id = models.UUIDField()
    version = models.IntegerField()  # from 1
    body = models.JSONField()  # tracking.agents.definition.Definition
    note = models.CharField(max_length=500, blank=True, default="")  # why it was changed
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.definition_id} {self.version}"


class McpServer(models.Model):
    """A server of tools (Model Context Protocol, streamable HTTP) that a team's agents may use."""

    pk = models.CompositePrimaryKey("team_id", "id")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="+", db_index=False)
    id = models.UUIDField()
    name = models.CharField(max_length=60)
    url = models.CharField(max_length=500)
    sealed_headers = models.BinaryField(null=True)  # JSON
    effects = models.JSONField(default=dict)  # tool -> read or write, where the team says another than the server
    undos = models.JSONField(default=dict)  # tool -> the tool of the server that takes it back
    tools = models.JSONField(default=list)  # as the server listed them last
    checked_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=500, blank=True, default="")  # of the last look
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["team", "name"], name="mcp_server_name")]

    def __str__(self) -> str:
        return self.name


class MemoryNote(models.Model):
    """What an agent wrote down for later runs of its team."""

    pk = models.CompositePrimaryKey("team_id", "agent", "title")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="+", db_index=False)
    agent = models.CharField(max_length=200)
    title = models.CharField(max_length=200)
    text = models.TextField()
    run = models.CharField(max_length=128, blank=True)
    changed_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.title
