package docs

import (
	"errors"
	"flag"
	"go/build"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the snippets")

const root = "../.."

func documents(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"*.md", "docs/*.md", "*/README.md", "examples/*/README.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	return all
}

func TestSnippets(t *testing.T) {
	for _, path := range documents(t) {
		t.Run(strings.TrimPrefix(path, root+"/"), func(t *testing.T) {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := string(b)
			want, errs := render(got, func(path, region string) (string, error) {
				if err := compiled(path); err != nil {
					return "", err
				}
				return read(root, path, region)
			})
			for _, err := range errs {
				t.Error(err)
			}
			switch {
			case got == want:
			case *update:
				if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
					t.Fatal(err)
				}
			default:
				t.Errorf("the snippets differ from their source; first at\n%s\ngo test ./internal/docs -update rewrites them", difference(got, want))
			}
		})
	}
}

// compiled returns nil if go build or go test compiles the file.
func compiled(path string) error {
	if filepath.Ext(path) != ".go" {
		return errors.New(path + " is no Go file")
	}
	dir, name := filepath.Split(filepath.Join(root, path))
	ok, err := build.Default.MatchFile(dir, name)
	if err == nil && !ok {
		err = errors.New(path + " is excluded by a build constraint")
	}
	for part := range strings.SplitSeq(filepath.ToSlash(path), "/") {
		if part == "testdata" || strings.HasPrefix(part, "_") || strings.HasPrefix(part, ".") {
			return errors.New(path + " is in a folder that go build doesn't look at")
		}
	}
	return err
}

// difference returns the first lines that differ.
func difference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return "got  " + a[i] + "\nwant " + b[i]
		}
	}
	return "the end"
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

func TestLinks(t *testing.T) {
	for _, path := range documents(t) {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		fenced := false
		for line := range strings.Lines(string(b)) {
			if strings.HasPrefix(strings.TrimSpace(line), "```") {
				fenced = !fenced
			}
			if fenced {
				continue
			}
			for _, m := range link.FindAllStringSubmatch(line, -1) {
				u, err := url.Parse(m[1])
				if err != nil || u.Scheme != "" || u.Path == "" {
					continue
				}
				if _, err := os.Stat(filepath.Join(filepath.Dir(path), u.Path)); err != nil {
					t.Errorf("%s: link to %s: %v", strings.TrimPrefix(path, root+"/"), m[1], err)
				}
			}
		}
	}
}

func TestRender(t *testing.T) {
	const source = `package x

func Example() {
	a()
	// snippet: one

	b()
		// snippet: inner
		c()
		// end snippet
	if d {
		e()
	}
	// end snippet
}

// snippet: open
// snippet: two
// end snippet
`
	from := func(_, region string) (string, error) { return cut(source, region) }
	const fence = "```"
	tests := []struct {
		name, in, want string
		err            string
	}{
		{
			"replaces a block", "text\n\n<!-- snippet: x.go#one -->\n" + fence + "go\nold\n" + fence + "\nmore\n",
			"text\n\n<!-- snippet: x.go#one -->\n" + fence + "go\nb()\n\tc()\nif d {\n\te()\n}\n" + fence + "\nmore\n", "",
		},
		{"leaves other languages", fence + "sh\nmake test\n" + fence + "\n", fence + "sh\nmake test\n" + fence + "\n", ""},
		{"needs a mark", fence + "go\nold\n" + fence + "\n", fence + "go\nold\n" + fence + "\n", "line 1: a block of Go has no"},
		{"needs the region", "<!-- snippet: x.go#none -->\n" + fence + "go\nold\n" + fence + "\n", "<!-- snippet: x.go#none -->\n" + fence + "go\nold\n" + fence + "\n", `there is no region called "none"`},
		{"needs the region's end", "<!-- snippet: x.go#open -->\n" + fence + "go\nold\n" + fence + "\n", "<!-- snippet: x.go#open -->\n" + fence + "go\nold\n" + fence + "\n", `region "open" has no end`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, errs := render(test.in, from)
			if got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
			if err := errors.Join(errs...); test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("got error %v, want one with %q", err, test.err)
			}
		})
	}
}
