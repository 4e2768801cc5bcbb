package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	blocks    = regexp.MustCompile("(?s)```.*?```")
	inline    = regexp.MustCompile("`[^`\n]+`")
	qualified = regexp.MustCompile(`\b([a-z]+)\.([A-Z]\w*)`)
)

// folders are the packages whose names the pages use, by the name that they have there.
var folders = map[string]string{
	"auth": "auth", "config": "config", "db": "db", "discovery": "discovery", "event": "event", "kv": "kv",
	"metrics": "metrics", "monitor": "monitor", "router": "router", "dsync": "sync", "trace": "trace", "wrapper": "wrapper",
	"platform": ".", "wgrpc": "wrapper/grpc", "page": "monitor/page", "outbox": "event/outbox", "changes": "db/changes", "store": "config/store",
	"cache": "kv/cache", "kvdriver": "kv/driver",
	"routerconfig": "router/config", "dbdriver": "db/driver", "prometheus": "metrics/prometheus", "baggage": "trace/baggage",
	"limits": "router/limits", "authdriver": "auth/driver", "tracedriver": "trace/driver",
}

// TestNamesOnPagesExist finds what a page calls kv.Something that package kv doesn't have.
func TestNamesOnPagesExist(t *testing.T) {
	pages, err := filepath.Glob("*.md")
	if err != nil || len(pages) == 0 {
		t.Fatal(pages, err)
	}
	known, found := map[string]map[string]bool{}, 0
	for _, name := range pages {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text := blocks.ReplaceAllString(string(b), "")
		if name == "migration.md" {
			text = right(text) // the left side names what others have
		}
		for _, code := range inline.FindAllString(text, -1) {
			for _, m := range qualified.FindAllStringSubmatch(code, -1) {
				folder, ok := folders[m[1]]
				if !ok {
					continue
				}
				if known[folder] == nil {
					known[folder] = exported(t, filepath.Join("..", folder))
				}
				if found++; !known[folder][m[2]] {
					t.Errorf("%s: %s.%s is not in %s", name, m[1], m[2], folder)
				}
			}
		}
	}
	if found < 30 {
		t.Errorf("looked at %d names only", found)
	}
}

// right returns the last column of tables.
func right(text string) string {
	var out []string
	for line := range strings.Lines(text) {
		if cells := strings.Split(strings.TrimRight(line, "|\n "), "|"); len(cells) > 1 {
			out = append(out, cells[len(cells)-1])
		}
	}
	return strings.Join(out, "\n")
}

// exported returns the exported names in the source of a folder: of functions, types, methods, fields.
func exported(t *testing.T, folder string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && id.IsExported() {
				names[id.Name] = true
			}
			return true
		})
	}
	return names
}
