"""From a features table to a judged and exported MOS model; it does not use Kedro."""
