package config_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/config"
)

// parts is a source of these.
type parts []config.Part

func (parts) Name() string { return "parts" }
func (p parts) Read(context.Context) (config.Content, error) {
	return config.Content{Parts: p}, nil
}

func TestOptionsThatNameTheirMistake(t *testing.T) {
	m := func(string) config.Source { return config.Memory("m", []byte(`{}`)) }
	for name, c := range map[string]struct {
		opt  config.Option
		says string // "": it is taken
	}{
		"no overlay":              {config.WithOverlay(nil, "shop"), "WithOverlay: nil function"},
		"an empty part":           {config.WithOverlay(m, ""), "WithOverlay: "},
		"overlay that gives none": {config.WithOverlay(func(string) config.Source { return nil }, "shop"), "nil source"},
		"health":                  {config.WithOnHealth(nil), "WithOnHealth: nil function"},
		"age":                     {config.WithLastKnownGood(filepath.Join(t.TempDir(), "f"), -1), "WithLastKnownGood: negative age"},
		"an overlay":              {config.WithOverlay(m, "shop"), ""},
		"a timeout":               {config.WithTimeout(time.Second), ""},
	} {
		cfg, err := config.New(c.opt)
		if err == nil {
			cfg.Close()
		}
		refused := errors.Is(err, config.ErrInvalid) && strings.HasPrefix(err.Error(), "config: new: ") && strings.Contains(err.Error(), c.says)
		if c.says == "" && err != nil || c.says != "" && !refused {
			t.Errorf("%s: got %v, want %q", name, err, c.says)
		}
	}
}

// A document that is beyond what is taken is refused, and the one just within is
// not.
func TestDocumentsThatAreRefused(t *testing.T) {
	text := func(s string) *config.Node { return &config.Node{Kind: config.String, Text: s} }
	member := func(key string, n *config.Node) *config.Node {
		return &config.Node{Kind: config.Object, Members: []config.Member{{Key: key, Value: n}}}
	}
	items := func(n int) *config.Node {
		a := &config.Node{Kind: config.Array, Items: make([]*config.Node, n)}
		for i := range a.Items {
			a.Items[i] = &config.Node{Kind: config.Null}
		}
		return member("a", a)
	}
	const most = 500_000 - 2 // with the object and the array itself
	for name, c := range map[string]struct {
		part config.Part
		ok   bool
		says string
	}{
		"text":              {config.Part{Root: member("a", text("x"))}, true, ""},
		"text, no UTF-8":    {config.Part{Root: member("a", text("\xff"))}, false, "text is not valid UTF-8"},
		"key, no UTF-8":     {config.Part{Root: member("\xff", text("x"))}, false, "is not valid UTF-8"},
		"no key":            {config.Part{Root: member("", text("x"))}, false, "empty key"},
		"no such kind":      {config.Part{Root: member("a", &config.Node{Kind: 99})}, false, "unknown kind 99"},
		"no number":         {config.Part{Root: member("a", &config.Node{Kind: config.Number, Text: "0x1"})}, false, "not a number"},
		"a number":          {config.Part{Root: member("a", &config.Node{Kind: config.Number, Text: "1e3"})}, true, ""},
		"in an array":       {config.Part{Root: member("a", &config.Node{Kind: config.Array, Items: []*config.Node{text("\xff")}})}, false, "text is not valid UTF-8"},
		"values":            {config.Part{Root: items(most)}, true, ""},
		"too many values":   {config.Part{Root: items(most + 1)}, false, "more than 500000 values"},
		"secret, malformed": {config.Part{Secret: true, Data: []byte(`{"a":"hidden`)}, false, "malformed; why is not shown"},
		"secret, too large": {config.Part{Secret: true, Data: make([]byte, config.MaxSize+1)}, false, "more than 4194304 bytes"},
		"secret":            {config.Part{Secret: true, Data: []byte(`{"a":"hidden"}`)}, true, ""},
	} {
		cfg, err := config.New(config.WithSource(parts{c.part}), config.WithLogger(slog.New(slog.NewTextHandler(io.Discard, nil))))
		if err == nil {
			if found := cfg.Get("a"); !found.Exists() {
				t.Errorf("%s: taken without its value", name)
			}
			cfg.Close()
		}
		if (err == nil) != c.ok || err != nil && (!strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hidden")) {
			t.Errorf("%s: got %v, want success %t, %q", name, err, c.ok, c.says)
		}
	}
	for _, empty := range []string{"", " \n", "\xef\xbb\xbf"} {
		var where *config.SyntaxError
		if n, err := (config.JSON{}).Parse([]byte(empty)); !errors.As(err, &where) || n != nil {
			t.Errorf("%q: %v, %v, want a SyntaxError", empty, n, err)
		}
	}
}

// An edit that can't be made leaves no document to use.
func TestEditsThatCannotBeMade(t *testing.T) {
	for name, edit := range map[string]func() ([]byte, error){
		"document: ":      func() ([]byte, error) { return config.MergePatch([]byte("{"), []byte("{}")) },
		"patch: ":         func() ([]byte, error) { return config.MergePatch([]byte("{}"), []byte("")) },
		"duplicate key":   func() ([]byte, error) { return config.SetPath([]byte(`{"a":1,"a":2}`), "b", 1) },
		"value: ":         func() ([]byte, error) { return config.SetPath([]byte("{}"), "a", ambiguous{}) },
		"at most 100":     func() ([]byte, error) { return config.SetPath([]byte("{}"), strings.Repeat("k.", 100)+"k", 1) },
		"a.0.b":           func() ([]byte, error) { return config.SetPath([]byte(`{"a":[1]}`), "a.0.b", 1) },
		"empty document":  func() ([]byte, error) { return config.DeletePath([]byte(" "), "a") },
		"has an empty ke": func() ([]byte, error) { return config.DeletePath([]byte("{}"), "a..b") },
	} {
		got, err := edit()
		if err == nil || got != nil || !errors.Is(err, config.ErrInvalid) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %s, %v", name, got, err)
		}
	}
}

// ambiguous is JSON that the encoder takes and a document can't hold.
type ambiguous struct{}

func (ambiguous) MarshalJSON() ([]byte, error) { return []byte(`{"a":1,"a":2}`), nil }

type badTag struct {
	N int `config:"n,loud"`
}

// A type that can't be decoded into is refused each time, however deep the reason
// lies, and nothing is written.
func TestTypesThatAreRefused(t *testing.T) {
	c, _ := open(t, `{"n":1,"in":{"n":1},"list":[{"n":1}]}`)
	type embeds struct{ badTag }
	type holds struct{ In badTag }
	type lists struct{ List []badTag }
	type both struct {
		N int `config:"n,required" default:"2"`
	}
	for range 2 { // the second time it is known
		for name, into := range map[string]any{
			"unknown flag":                new(badTag),
			`unknown flag "loud"`:         new(embeds),
			"in":                          new(holds),
			"badTag.N":                    new(lists),
			"both required and a default": new(both),
		} {
			err := c.Snapshot().Scan("", into)
			if !errors.Is(err, config.ErrInvalid) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: got %v", name, err)
			}
		}
	}
	n := 7
	var field *config.FieldError
	if err := c.Snapshot().Scan("none", &n); !errors.As(err, &field) || n != 7 {
		t.Errorf("nothing there: %v, n is %d", err, n)
	}
	if err := c.Snapshot().Scan("n", &n); err != nil || n != 1 {
		t.Errorf("a number: %v, n is %d", err, n)
	}
	if v, err := config.Var(c, "in", 5); !errors.Is(err, config.ErrInvalid) || v != nil {
		t.Errorf("an object bound as a number: %v, %v", v, err)
	}
}

func TestFilesOfAResolverThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "db"), []byte("pw\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for name, c := range map[string]struct {
		dir, ref string
		want     error
	}{
		"a folder that is not there":        {filepath.Join(dir, "none"), "db", config.ErrNotFound},
		"absolute, in a folder that is not": {".", filepath.Join(dir, "db"), config.ErrInvalid},
		"a file as the folder":              {filepath.Join(dir, "db"), "db", config.ErrUnavailable},
		"there":                             {".", "db", nil},
		"absolute":                          {dir, filepath.Join(dir, "db"), nil},
	} {
		got, err := config.Files(c.dir).Resolve(t.Context(), c.ref)
		if !errors.Is(err, c.want) || c.want == nil && (err != nil || got != "pw") || c.want != nil && got != "" {
			t.Errorf("%s: got %q, %v, want %v", name, got, err, c.want)
		}
	}
}
