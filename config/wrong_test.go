package config_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/micro/go-platform/config"
)

// What is wrong is said in the words of the place where it is.
func TestWhatIsWrongIsSaid(t *testing.T) {
	c, _ := open(t, `{"a":"x"}`)
	s := c.Snapshot()
	_, of := config.Var(c, "a", 1)
	_, bound := config.Bind[struct {
		Inner struct {
			A int `config:"a,no-such-flag"`
		}
	}](c, "", config.AllowUnknown())
	type Base struct {
		A int `config:"a,no-such-flag"`
	}
	_, embedded := config.SchemaOf[struct{ Base }]()
	_, parsed := config.JSON{}.Parse([]byte(" \n"))
	_, deep := config.SetPath([]byte(`{"l":[[1]]}`), "l.0.9", 1)
	_, edited := config.SetPath([]byte(`{`), "a", 1)
	_, empty := config.MergePatch(nil, []byte(`{}`))
	_, outside := config.Files("relative").Resolve(t.Context(), filepath.Join(t.TempDir(), "a"))
	for what, c := range map[string]struct {
		err  error
		says string
	}{
		"a variable":          {of, "want int"},
		"a snapshot":          {s.Scan("a", new(int)), "want int"},
		"nothing":             {s.Scan("none", new(int)), "nothing is set"},
		"a flag of a field":   {bound, "no-such-flag"},
		"an embedded one":     {embedded, "no-such-flag"},
		"an empty document":   {parsed, "empty document"},
		"none to patch":       {empty, "empty document"},
		"half a document":     {edited, "line 1"},
		"an index":            {deep, "l.0"},
		"outside of a folder": {outside, "not below relative"},
	} {
		if !errors.Is(c.err, config.ErrInvalid) || !strings.Contains(c.err.Error(), c.says) {
			t.Errorf("%s: got %v, want %q", what, c.err, c.says)
		}
	}
	if err := s.Scan("none", new(struct{ A int })); err != nil { // a struct may be of defaults alone
		t.Errorf("nothing, into a struct: %v", err)
	}
}

// A part that nobody may see is not shown by the error of its parser either.
func TestMalformedSecretPartsAreNotQuoted(t *testing.T) {
	large := formatSlice{[]func([]byte) (*config.Node, error){func([]byte) (*config.Node, error) { return nil, config.ErrTooLarge }}}
	for name, c := range map[string]struct {
		part config.Part
		kind error
		says string
	}{
		"malformed": {config.Part{Secret: true, Data: []byte("{\n\"a\":hunter2}")}, config.ErrInvalid, "line 2, column"},
		"too large": {config.Part{Secret: true, Data: []byte("hunter2"), Format: large}, config.ErrTooLarge, ""},
	} {
		_, err := config.New(config.WithSource(sourceFunc(func(context.Context) (config.Content, error) {
			return config.Content{Parts: []config.Part{c.part}}, nil
		})))
		if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), hunter) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// A saved file that somebody has changed into what can't be is told by the name of
// the source, and the start fails for what it failed for: the source.
func TestSavedContentThatCannotBeIsRefused(t *testing.T) {
	saved := filepath.Join(t.TempDir(), "good.json")
	m := config.Memory("m", []byte(`{"a":1,"b":2}`))
	c, err := config.New(config.WithSource(m), config.WithLastKnownGood(saved, 0))
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	text, err := os.ReadFile(saved)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), `"b"`, `"a"`, 1)
	if changed == string(text) {
		t.Fatalf("nothing was changed in %s", text)
	}
	if err := os.WriteFile(saved, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	m.Update(config.Content{}, errAway)
	if c, err := config.New(config.WithSource(m), config.WithLastKnownGood(saved, 0)); !errors.Is(err, config.ErrUnavailable) || errors.Is(err, config.ErrInvalid) || !strings.Contains(err.Error(), `last-known-good file: memory m: `) {
		t.Errorf("got %v, %v", c, err)
	}
}
