package nats

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/micro/go-platform/kv"
)

// Keys as names below a bucket's subject. The parts of a key, between slashes,
// are the tokens of the subject, between dots. An empty part is "=", a dot in a
// part is a slash, and any other byte that a key of NATS may not have, "=" among
// them, is "=" and two hex digits.

func encode(key string) string {
	var b strings.Builder
	for i, part := range strings.Split(key, "/") {
		if i > 0 {
			b.WriteByte('.')
		}
		if part == "" {
			b.WriteByte('=')
		}
		for j := range len(part) {
			switch c := part[j]; {
			case plain(c):
				b.WriteByte(c)
			case c == '.':
				b.WriteByte('/')
			default:
				fmt.Fprintf(&b, "=%02X", c)
			}
		}
	}
	return b.String()
}

func plain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

// decode reverses encode. It reports false for a name that encode never gives:
// another program's.
func decode(name string) (key string, ok bool) {
	b := make([]byte, 0, len(name))
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c == '.':
			b = append(b, '/')
		case c == '/':
			b = append(b, '.')
		case c != '=':
			b = append(b, c)
		case i+1 == len(name) || name[i+1] == '.': // an empty part
		default:
			if i+2 >= len(name) {
				return "", false
			}
			var x byte
			if _, err := fmt.Sscanf(name[i+1:i+3], "%02X", &x); err != nil {
				return "", false
			}
			b = append(b, x)
			i += 2
		}
	}
	key = string(b)
	return key, key != "" && len(key) <= kv.MaxKey && utf8.ValidString(key) && encode(key) == name
}

// filter is the narrowest wildcard that covers all names of keys with a prefix.
func filter(prefix string) string {
	i := strings.LastIndexByte(prefix, '/')
	if i < 0 {
		return ">"
	}
	return encode(prefix[:i]) + ".>"
}
