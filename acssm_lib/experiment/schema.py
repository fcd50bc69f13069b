"""What a record (``metrics.json``) holds, as a JSON Schema: ``records`` writes it, ``report.readings`` reads it."""

import fastjsonschema

from acssm_lib.names import PROTOCOLS, READOUTS

_TEXT, _LIST, _OBJECT, _FLAG = ({"type": kind} for kind in ("string", "array", "object", "boolean"))
_COUNT, _SEED = {"type": "integer", "minimum": 0}, {"type": "integer"}
_FRACTION = {"type": "number", "minimum": 0, "maximum": 1}
_NUMBER = {"type": "number", "minimum": -1e300, "maximum": 1e300}  # JSON has no infinity, but 1e999 reads as one
DRAWS = {"accuracy": _FRACTION, "n_query": _COUNT, "n_query_unshared_sources": _COUNT,
         "accuracy_unshared_sources": {**_FRACTION, "type": ["number", "null"]}}  # null: no query is unshared


def _object(optional=None, **needed):
    return {"type": "object", "required": list(needed), "properties": {**needed, **(optional or {})}}


def _list(items, **limits):
    return {"type": "array", "items": items, **limits}


SCHEMA = {"$schema": "http://json-schema.org/draft-07/schema#"} | _object(
    schema={"const": 1}, dataset=_TEXT, group=_TEXT, classes=_list(_TEXT), method=_TEXT, preset=_TEXT, seed=_SEED,
    n_way=_COUNT, n_shot=_COUNT, episodes=_list(_object(seed=_SEED, **DRAWS), minItems=1),
    accuracy_mean=_FRACTION, accuracy_ci95={"type": ["array", "null"], "items": _NUMBER},
    accuracy_unshared_sources_mean=DRAWS["accuracy_unshared_sources"],
    pretraining=_object(clips=_COUNT, steps=_COUNT, seconds=_NUMBER, saw_query_clips=_FLAG,
                        final_loss={**_NUMBER, "type": ["number", "null"]}),
    finetuning=_object(seconds=_NUMBER), parameters=_COUNT, versions=_OBJECT,
    optional={  # records of the first version lack these
        "protocol": {"enum": list(PROTOCOLS)}, "readout": {"enum": list(READOUTS)},
        "readouts": _list(_object(  # one value per draw
            name={"enum": list(READOUTS)}, n_shot=_COUNT, shuffled=_FLAG, supports=_TEXT,
            seeds=_list(_SEED, minItems=1), **{name: _list(kind) for name, kind in DRAWS.items()}))})

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
    for position, entry in enumerate(metrics.get("readouts", ())):
        if {len(entry[name]) for name in DRAWS} != {len(entry["seeds"])}:
            raise ValueError(f"not a run record: record.readouts[{position}] needs one value per draw in each of "
                             f"{', '.join(('seeds', *DRAWS))}")


def _short(value, most=60):
    text = repr(value)
    return text if len(text) <= most else text[:most] + "..."
