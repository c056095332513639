"""The mappings that ship: one TOML file for each known layout."""
