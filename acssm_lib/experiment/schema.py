"""What a record (``metrics.json``) holds, as a JSON Schema: ``records`` writes it, ``report.readings`` reads it."""

import fastjsonschema

from acssm_lib.names import PROTOCOLS, READOUTS, RECORD_SCHEMA

# Records come from strangers too: every text, list and number has a limit, far above what a run can need.
_FLAG = {"type": "boolean"}
_NAME, _LINE = ({"type": "string", "minLength": 1, "maxLength": most} for most in (255, 4096))
_COUNT, _SOME = ({"type": "integer", "minimum": least, "maximum": 10**12} for least in (0, 1))
_WAYS = {"type": "integer", "minimum": 1, "maximum": 10_000}
_SEED = {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}
_FRACTION = {"type": "number", "minimum": 0, "maximum": 1}
_NUMBER = {"type": "number", "minimum": -1e12, "maximum": 1e12}  # JSON has no infinity, but 1e999 reads as one
_SECONDS = {**_NUMBER, "minimum": 0}
_MOST = 100_000  # entries of a list
DRAWS = {
    "accuracy": _FRACTION,
    "n_query": _SOME,
    "n_query_unshared_sources": _COUNT,
    "accuracy_unshared_sources": {**_FRACTION, "type": ["number", "null"]},
}  # null: no query is unshared


def _object(optional=None, **needed):
    return {"type": "object", "required": list(needed), "properties": {**needed, **(optional or {})}}


def _list(items, **limits):
    return {"type": "array", "items": items, "maxItems": _MOST, **limits}


# Of settings and versions: plain values, and lists of them.
_PLAIN: dict = {"type": ["string", "number", "boolean", "null"], "maxLength": 1000, "minimum": -1e12, "maximum": 1e12}
_VALUES = {
    "type": "object",
    "propertyNames": {"pattern": r"^\w[\w.-]{0,99}$"},
    "maxProperties": 1000,
    "additionalProperties": {**_PLAIN, "type": [*_PLAIN["type"], "array"], "items": _PLAIN, "maxItems": 100},
}
SCHEMA = {"$schema": "http://json-schema.org/draft-07/schema#"} | _object(
    schema={"const": RECORD_SCHEMA},
    dataset=_NAME,
    group=_NAME,
    classes=_list(_NAME, minItems=1),
    method={**_NAME, "pattern": "^[^,]*$"},  # behind a comma a table says what was done to it
    preset=_NAME,
    seed=_SEED,
    n_way=_WAYS,
    n_shot=_SOME,
    episodes=_list(_object({"support": _list(_LINE)}, seed=_SEED, **DRAWS), minItems=1),
    accuracy_mean=_FRACTION,
    accuracy_ci95={"type": ["array", "null"], "items": _NUMBER, "minItems": 2, "maxItems": 2},
    accuracy_unshared_sources_mean=DRAWS["accuracy_unshared_sources"],
    pretraining=_object(
        clips=_COUNT,
        steps=_COUNT,
        seconds=_SECONDS,
        saw_query_clips=_FLAG,
        final_loss={**_NUMBER, "type": ["number", "null"]},
    ),
    finetuning=_object(seconds=_SECONDS),
    parameters=_COUNT,
    versions=_VALUES,
    optional={  # some of them came after the first version
        "synthetic": _FLAG,
        "confusion": _list(_list(_COUNT)),
        "overrides": _VALUES,
        "settings": _VALUES,
        "labelled_clips": _object(training=_COUNT, selection=_COUNT),
        "device": _NAME,
        "precision": _NAME,
        "protocol": {"enum": list(PROTOCOLS)},
        "readout": {"enum": list(READOUTS)},
        "readouts": _list(
            _object(  # one value per draw
                name={"enum": list(READOUTS)},
                n_shot=_SOME,
                shuffled=_FLAG,
                seeds=_list(_SEED, minItems=1),
                supports={"type": "string", "pattern": "^[0-9a-f]{16}$"},
                **{name: _list(kind) for name, kind in DRAWS.items()},
            )
        ),
    },
)

_follows_schema = fastjsonschema.compile(SCHEMA)  # jsonschema takes 30 times as long: 10 s for a hundred records


def check_metrics(metrics):
    """Does nothing if the record has every key of the schema, each of the right kind.

    Raises:
        ValueError: names the first missing or wrong key, such as ``record.pretraining``, and its value.
    """
    try:
        _follows_schema(metrics, name_prefix="record")
    except fastjsonschema.JsonSchemaValueException as error:
        raise ValueError(f"not a run record: {error.message}, it is {_short(error.value)}") from None
    n_way, confusion = metrics["n_way"], metrics.get("confusion")
    if len(metrics["classes"]) != n_way:
        raise ValueError(
            f"not a run record: record.classes has {len(metrics['classes'])} names, but record.n_way is {n_way}"
        )
    if confusion is not None and {len(row) for row in [confusion, *confusion]} != {n_way}:
        raise ValueError(f"not a run record: record.confusion must have {n_way} rows of {n_way}, as record.n_way says")
    for position, entry in enumerate(metrics.get("readouts", ())):
        if {len(entry[name]) for name in DRAWS} != {len(entry["seeds"])}:
            raise ValueError(
                f"not a run record: record.readouts[{position}] needs one value per draw in each of "
                f"{', '.join(('seeds', *DRAWS))}"
            )


def _short(value, most=60):
    text = repr(value)
    return text if len(text) <= most else text[:most] + "..."
