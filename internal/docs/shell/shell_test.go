package shell

import (
	"reflect"
	"testing"
)

func TestBlocks(t *testing.T) {
	const page = "Type\n\n```sh\nmkdir a && cd a\n# a comment\ncurl -s \\\n  localhost\n```\n\n```text\nseen …\n```\n\n" +
		"```text\nanother\n```\n\n<!-- keeps running: one -->\n```sh\nserve\n```\n\n<!-- not run: it costs money -->\n```sh\nbuy\n```\n\n" +
		"```sh\ncat >f <<EOF\n# kept\nEOF\nls\n```\n\nwords\n\n```text\nnot of ls\n```\n" +
		"<!-- seen in: one -->\n\n```text\nup\n```\n<!-- ctrl-c: one -->\n"
	got, err := Blocks(page)
	want := []Block{
		{Line: 3, Commands: []string{"mkdir a && cd a", "curl -s \\\n  localhost"}, Want: "seen …\n"},
		{Line: 19, Terminal: "one", Commands: []string{"serve"}},
		{Line: 28, Commands: []string{"cat >f <<EOF\n# kept\nEOF", "ls"}},
		{Line: 42, Terminal: "one", Want: "…\nup\n…\n"},
		{Line: 45, Terminal: "one"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v, %v\nwant %v", got, err, want)
	}
	if _, err := Blocks("```sh\nls\n"); err == nil {
		t.Error("a block without an end")
	}
}

func TestMatch(t *testing.T) {
	for _, test := range []struct {
		want, got string
		match     bool
	}{
		{"Hello, Ada\n", "Hello, Ada\n", true},
		{"Hello, Ada\n", "Hello, Ada", true},
		{"Hello, Ada\n", "Hello, Ada\nmore\n", false},
		{"Hello, Ada\n", "Oh. Hello, Ada\n", false},
		{"took … ms\n", "took 12 ms\n", true},
		{"took … ms\n", "took 12\n3 ms\n", false},
		{"a.c\n", "abc\n", false},
		{"…\nb\n…\n", "a\na\nb\n", true},
		{"…\nb\n…\n", "b\n", true},
		{"…\nb\n…\n", "a\nbb\n", false},
	} {
		if got := Match(test.want, test.got); got != test.match {
			t.Errorf("%q is %q: %t", test.want, test.got, got)
		}
	}
}
