package fronts

import "strings"

// Cut shortens a name for an error.
func Cut(name string) string {
	if len(name) <= 64 {
		return name
	}
	return strings.ToValidUTF8(name[:64], "") + "…"
}
