package conn

import (
	"net/http"
	"strings"

	"github.com/micro/go-platform/internal/fault"
)

// AddHeader adds to the headers of an option one that can be sent. to is replaced,
// not changed: what was copied from it keeps its own.
func AddHeader(to *http.Header, name, value string) error {
	if !token(name) || strings.ContainsFunc(value, control) {
		return fault.Markf(fault.Invalid, "header %q can't be sent", name) // the value may be a secret
	}
	h := to.Clone()
	if h == nil {
		h = http.Header{}
	}
	h.Add(name, value)
	*to = h
	return nil
}

// token reports whether s may be the name of a header (RFC 9110 section 5.6.2).
func token(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

func control(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }
