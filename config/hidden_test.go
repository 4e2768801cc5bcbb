package config_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/micro/go-platform/config"
)

// A pattern covers what it names and what is below, and nothing beside it; a key
// of one word hides texts, but not what is below.
func TestPathsThatAreHidden(t *testing.T) {
	doc := `{"databases":{"a":{"pin":"one","pint":"two","x":{"pin":"three"}}},"database":{"a":{"pin":"four"}},"pin":"five","key":{"a":"six"},"safe":{"a":{"b":"seven"}}}`
	s, err := config.ParseSnapshot(nil, []byte(doc), "databases.*.pin", "safe")
	if err != nil {
		t.Fatal(err)
	}
	got := s.String()
	for text, there := range map[string]bool{"one": false, "two": true, "three": true, "four": true, "five": true, "six": true, "seven": false} {
		if strings.Contains(got, text) != there {
			t.Errorf("%s: shown %t, want %t: %s", text, !there, there, got)
		}
	}
	m := config.Memory("m", map[string]any{"a": map[string]any{"b": "hidden", "bc": "plain"}})
	c, err := config.New(config.WithSource(m), config.WithSecrets("a.b"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := c.Snapshot().String(); strings.Contains(got, "hidden") || !strings.Contains(got, "plain") {
		t.Errorf("WithSecrets: %s", got)
	}
}

// A field of the type or tag of secrets hides its path, and its neighbours stay
// as they were.
func TestBoundFieldsThatAreHidden(t *testing.T) {
	c, err := config.New(config.WithSource(config.Memory("m", map[string]any{"login": map[string]any{"who": "ann", "word": "hidden", "n": 1}})))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b, err := config.Bind[struct {
		Who  string
		Word config.Secret
		N    int
	}](c, "login")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	got := c.Snapshot().String()
	if strings.Contains(got, "hidden") || !strings.Contains(got, "ann") || !strings.Contains(got, `"n":1`) {
		t.Errorf("got %s", got)
	}
	if v := b.Load(); v.Who != "ann" || v.Word.Reveal() != "hidden" || v.N != 1 {
		t.Errorf("bound %+v", v)
	}
}

// maxDepth is how deep a document may nest.
const maxDepth = 100

// nodes is a format that gives what a test made.
type nodes struct{ n *config.Node }

func (nodes) Name() string                         { return "nodes" }
func (nodes) Extensions() []string                 { return []string{".nodes"} }
func (f nodes) Parse([]byte) (*config.Node, error) { return f.n, nil }
func list(depth int, inner *config.Node) *config.Node {
	for range depth {
		inner = &config.Node{Kind: config.Array, Items: []*config.Node{inner}}
	}
	return inner
}

// Whatever a format of somebody's own makes is checked.
func TestNodesOfAFormatAreChecked(t *testing.T) {
	text := func(s string) *config.Node { return &config.Node{Kind: config.String, Text: s} }
	member := func(key string, n *config.Node) *config.Node {
		return &config.Node{Kind: config.Object, Members: []config.Member{{Key: key, Value: n}}}
	}
	for name, c := range map[string]struct {
		n    *config.Node
		want string // "": it is taken
	}{
		"fine":            {member("a", text("b")), ""},
		"no UTF-8":        {member("a", text("\xff")), "text is not valid UTF-8"},
		"no kind":         {member("a", &config.Node{Kind: config.Missing}), "unknown kind 0"},
		"no UTF-8 in key": {member("\xff", text("b")), "not valid UTF-8"},
		"an empty key":    {member("", text("b")), "empty key"},
		"no value":        {member("a", nil), "no value"},
		"as deep as may":  {member("a", list(maxDepth-2, text("b"))), ""},
		"at the limit":    {member("a", list(maxDepth-1, text("b"))), ""},
		"a number":        {member("a", &config.Node{Kind: config.Number, Text: "-1.5e3"}), ""},
		"a hex number":    {member("a", &config.Node{Kind: config.Number, Text: "0x1p4"}), "not a number that JSON can hold"},
		"a signed number": {member("a", &config.Node{Kind: config.Number, Text: "+1"}), "not a number that JSON can hold"},
		"too deep":        {member("a", list(maxDepth, text("b"))), "nested deeper"},
	} {
		s, err := config.ParseSnapshot(nodes{c.n}, []byte("x"))
		if (err == nil) != (c.want == "") || err != nil && (!errors.Is(err, config.ErrInvalid) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, %v, want %q", name, s, err, c.want)
		}
	}
	for n, ok := range map[int]bool{maxDepth - 1: true, maxDepth: true, maxDepth + 1: false} {
		path := strings.TrimSuffix(strings.Repeat("a.", n), ".")
		if _, err := config.SetPath([]byte(`{}`), path, 1); (err == nil) != ok || err != nil && !errors.Is(err, config.ErrInvalid) {
			t.Errorf("a path of %d keys: %v, want success %t", n, err, ok)
		}
	}
}
