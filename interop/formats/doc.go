// Package formats holds the suites that others wrote for TOML, YAML and JSON
// Schema, and runs config through them.
package formats
