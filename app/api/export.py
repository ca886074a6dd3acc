"""/spend/export: the ledger as a file."""

from __future__ import annotations

import itertools
from typing import Any

from flask import Response, stream_with_context
from marshmallow import fields, validate

from app.api.guards import AdminBlueprint
from app.api.schemas import says
from app.api.spend import RowsQuerySchema, wanted
from app.ledger import export
from app.models import now

blueprint = AdminBlueprint("Export", __name__, url_prefix="/spend", description="The ledger as a file.")

CONTENT_TYPES = {"csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet"}
FILE = {"type": "string", "format": "binary"}


class ExportQuerySchema(RowsQuerySchema):
    """Which rows, as a file of which format."""

    format = fields.String(
        load_default="csv",
        validate=validate.OneOf(list(export.FORMATS)),
        metadata=says(
            "`csv`: `cost` in dollars with nine digits; text that a spreadsheet would take for a formula has an "
            "apostrophe before it. `parquet`: everything as it is; `cost` is decimal dollars, moments are UTC."
        ),
    )


@blueprint.route("/export")
@blueprint.open_to_virtual_keys()
@blueprint.arguments(ExportQuerySchema, location="query")
@blueprint.answers(FILE, content_type="text/csv", description="The file.")
@blueprint.errors(400, 404)
def ledger(given: dict[str, Any]) -> Response:
    """Download rows of the ledger, oldest first: one for each attempt of a call, with its tokens and cost.

    A virtual key gets its own calls and no others. Calls that are booked while the file is written may be missing.
    """
    file_format = given["format"]
    rows = wanted(given)
    # Calls that begin from now on would make the file longer while it is read.
    rows["end"] = rows["end"] or now()
    chunks = export.chunks(**rows)
    # Read before the answer begins: a database that is down is an error, not half a file.
    first = list(itertools.islice(chunks, 1))
    data = export.written(file_format, itertools.chain(first, chunks))
    answer = Response(stream_with_context(data), content_type=CONTENT_TYPES[file_format])
    answer.headers["content-disposition"] = f'attachment; filename="tollgate-ledger.{file_format}"'
    return answer
