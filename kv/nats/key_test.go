package nats

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/kvtest"
)

// their is what NATS' clients take for a key.
var their = regexp.MustCompile(`^[-/_=\.a-zA-Z0-9]+$`)

func FuzzKeysComeBackAsTheyWere(f *testing.F) {
	for _, key := range kvtest.OddKeys() {
		f.Add(key, "a")
	}
	f.Add("a/b", "a.b")
	f.Add("//", "/")
	f.Add("=", "=.")
	f.Fuzz(func(t *testing.T, a, b string) {
		if a == "" || b == "" || len(a) > kv.MaxKey || len(b) > kv.MaxKey || !utf8.ValidString(a) || !utf8.ValidString(b) {
			return
		}
		name := encode(a)
		if !their.MatchString(name) || strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".") || strings.Contains(name, "..") {
			t.Fatalf("%q is %q, which is no key of NATS", a, name)
		}
		if back, ok := decode(name); !ok || back != a {
			t.Fatalf("%q is %q, which is %q, %v", a, name, back, ok)
		}
		if (name == encode(b)) != (a == b) {
			t.Fatalf("%q and %q are both %q", a, b, name)
		}
		wild := strings.TrimSuffix(filter(b), ">")
		if strings.HasPrefix(a, b) && !strings.HasPrefix(name, wild) {
			t.Fatalf("%q begins with %q, but %q not with %q", a, b, name, wild)
		}
	})
}
