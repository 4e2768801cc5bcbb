package dbvalue

import (
	"slices"
	"strings"
	"unicode"
)

// Words returns the words of a text, in lower case and each of them once, as Match
// takes them.
func Words(text string) []string {
	var all []string
	for _, w := range strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) }) {
		w = strings.ToLower(w)
		if !slices.Contains(all, w) {
			all = append(all, w)
		}
	}
	return all
}
