package consul

import (
	"strings"
	"testing"
)

// FuzzKey: no two keys meet, every key comes back, what begins with a prefix
// still does, and nothing is left that an HTTP server would tidy away.
func FuzzKey(f *testing.F) {
	for _, s := range []string{"a", "/", "a//b", "../x", "a/./b", "%41", "größe", "a b", "{}", "a.b", ".a", "\x00"} {
		f.Add(s, 1)
	}
	f.Fuzz(func(t *testing.T, key string, cut int) {
		name := encode(key)
		if back, ok := decode(name); !ok || back != key {
			t.Fatalf("%q became %q and then %q, %v", key, name, back, ok)
		}
		if cut >= 0 && cut <= len(key) && !strings.HasPrefix(name, encode(key[:cut])) {
			t.Fatalf("%q is no prefix of %q as %q is of %q", encode(key[:cut]), name, key[:cut], key)
		}
		for _, part := range strings.Split(name, "/") {
			if part == "." || part == ".." {
				t.Fatalf("%q became %q", key, name)
			}
		}
		if strings.Contains(name, "//") || strings.HasPrefix(name, "/") {
			t.Fatalf("%q became %q", key, name)
		}
		if back, ok := decode(key); ok && encode(back) != key {
			t.Fatalf("%q was taken for one of ours", key)
		}
	})
}
