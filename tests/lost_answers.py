"""Requests that take effect, and whose answers nobody hears."""


def lose_answers(client, operation, count=1, *, before=None):
    """Let answers be lost, so that botocore asks once more; `before` is done in between."""
    left = [count]

    def answered(response, **_):
        if response is None or not left[0]:
            return None
        left[0] -= 1
        if before is not None:
            before()
        return 0

    service = client.meta.service_model.service_id.hyphenize()
    client.meta.events.register_first(f"needs-retry.{service}.{operation}", answered)
