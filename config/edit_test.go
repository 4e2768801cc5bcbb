package config_test

import (
	"errors"
	"testing"

	"github.com/micro/go-platform/config"
)

func TestPathEditsTouchNothingElse(t *testing.T) {
	const doc = `{"a":{"b":1,"c":[1,{"d":2},3]},"x.y":5,"s":"t"}`
	for _, c := range []struct {
		path  string
		value any // nil: delete
		want  string
	}{
		{"a.b", 2, `{"a":{"b":2,"c":[1,{"d":2},3]},"s":"t","x.y":5}`},
		{"a", map[string]int{"n": 1}, `{"a":{"n":1},"s":"t","x.y":5}`}, // replaced, not merged
		{"n.e.w", true, `{"a":{"b":1,"c":[1,{"d":2},3]},"n":{"e":{"w":true}},"s":"t","x.y":5}`},
		{`x\.y`, "z", `{"a":{"b":1,"c":[1,{"d":2},3]},"s":"t","x.y":"z"}`},
		{"a.c.1.d", 9, `{"a":{"b":1,"c":[1,{"d":9},3]},"s":"t","x.y":5}`},
		{"a.c.3", 4, `{"a":{"b":1,"c":[1,{"d":2},3,4]},"s":"t","x.y":5}`},
		{"a.c.0", nil, `{"a":{"b":1,"c":[{"d":2},3]},"s":"t","x.y":5}`},
		{"a.c.7", nil, `{"a":{"b":1,"c":[1,{"d":2},3]},"s":"t","x.y":5}`},
		{"a.c.01", nil, `{"a":{"b":1,"c":[1,{"d":2},3]},"s":"t","x.y":5}`}, // Get finds nothing there either
		{"a.b", nil, `{"a":{"c":[1,{"d":2},3]},"s":"t","x.y":5}`},
		{"none.of.it", nil, `{"a":{"b":1,"c":[1,{"d":2},3]},"s":"t","x.y":5}`},
		{"s.deeper", nil, `{"a":{"b":1,"c":[1,{"d":2},3]},"s":"t","x.y":5}`},
		{"", nil, `{}`},
		{"", map[string]int{"q": 1}, `{"q":1}`},
	} {
		var got []byte
		var err error
		if c.value == nil {
			got, err = config.DeletePath([]byte(doc), c.path)
		} else {
			got, err = config.SetPath([]byte(doc), c.path, c.value)
		}
		if err != nil || string(got) != c.want {
			t.Errorf("%q = %v: got %s, %v, want %s", c.path, c.value, got, err, c.want)
		}
	}
	for _, path := range []string{"s.deeper", "a.c.9", "a.c.x", "a.c.01", "a.c.+1", "a..b"} {
		if got, err := config.SetPath([]byte(doc), path, 1); !errors.Is(err, config.ErrInvalid) {
			t.Errorf("set %q: got %s, %v, want ErrInvalid", path, got, err)
		}
	}
	if _, err := config.SetPath([]byte(doc), "a", make(chan int)); !errors.Is(err, config.ErrInvalid) {
		t.Errorf("channel: got %v, want ErrInvalid", err)
	}
}

func FuzzSetPathThenGet(f *testing.F) {
	f.Add(`{"a":{"b":1}}`, "a.b")
	f.Add(`{"a":[1,2]}`, "a.2.x")
	f.Add(`{}`, `a\.b.c\\`)
	f.Fuzz(func(t *testing.T, doc, path string) {
		out, err := config.SetPath([]byte(doc), path, "v")
		if err != nil {
			return
		}
		s, err := config.ParseSnapshot(nil, out)
		if err != nil {
			return // an invalid key, or too deep
		}
		if got := s.Get(path).String(""); got != "v" {
			t.Fatalf("%s, set %q: %s has %q there", doc, path, out, got)
		}
		gone, err := config.DeletePath(out, path)
		if err != nil {
			t.Fatalf("%s, delete %q: %v", out, path, err)
		}
		keys := config.SplitPath(path)
		s, err = config.ParseSnapshot(nil, gone)
		if err != nil {
			t.Fatal(err)
		}
		parent := s.Get("").At(keys[:max(0, len(keys)-1)]...)
		if parent.Kind() == config.Object && s.Get(path).Exists() && path != "" {
			t.Fatalf("%s still has %q", gone, path)
		}
	})
}
