// Package accept reads what a client says that it takes: the Accept… headers of
// RFC 9110, section 12.
package accept

import (
	"iter"
	"strconv"
	"strings"
)

// Gzip reports whether lines of Accept-Encoding take gzip: by its name, or else
// by "*" (section 12.5.3), with a weight above 0.
func Gzip(lines []string) bool {
	var named, star bool
	var gzip, rest float64
	for part, q := range Parts(lines) {
		switch name, _, _ := strings.Cut(part, ";"); strings.ToLower(strings.TrimSpace(name)) {
		case "gzip", "x-gzip": // section 8.4.1.3: the same
			named, gzip = true, max(gzip, q)
		case "*":
			star, rest = true, max(rest, q)
		}
	}
	return named && gzip > 0 || !named && star && rest > 0
}

// Parts returns the comma separated parts of lines, each with its weight.
func Parts(lines []string) iter.Seq2[string, float64] {
	return func(yield func(string, float64) bool) {
		for _, line := range lines {
			for part := range strings.SplitSeq(line, ",") {
				if !yield(part, weight(part)) {
					return
				}
			}
		}
	}
}

// weight returns the q of "name;a=b;q=0.5": 1 where there is none, and 0 where it
// is no number from 0 to 1.
func weight(part string) float64 {
	_, params, _ := strings.Cut(part, ";")
	for p := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(p, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "q") {
			continue
		}
		q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil || !(q >= 0 && q <= 1) {
			return 0
		}
		return q
	}
	return 1
}
