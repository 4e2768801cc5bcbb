package dbvalue

import (
	"regexp"
	"strings"
)

var tableForm = regexp.MustCompile(`^[a-z][a-z0-9_]{0,47}$`)

// TableForm is the form of a table's name, for errors.
const TableForm = "want a letter from a to z, then letters, digits and single '_', up to 48"

// IsTable reports whether a table may have the name.
func IsTable(name string) bool {
	return tableForm.MatchString(name) && !strings.Contains(name, "__") && !strings.HasSuffix(name, "_")
}
