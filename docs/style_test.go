package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// eachNode calls do for each node of the code that is no test.
func eachNode(t *testing.T, do func(at func() token.Position, n ast.Node)) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != ".." {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if n != nil {
				do(func() token.Position { return files.Position(n.Pos()) }, n)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestIfHeadersOnlyDeclare: the header of an if may declare what its branches
// use. What outlives the if is assigned in a statement of its own, where a
// reader sees it.
func TestIfHeadersOnlyDeclare(t *testing.T) {
	looked := 0
	eachNode(t, func(at func() token.Position, n ast.Node) {
		branch, ok := n.(*ast.IfStmt)
		if !ok || branch.Init == nil {
			return
		}
		looked++
		a, assigns := branch.Init.(*ast.AssignStmt)
		_, counts := branch.Init.(*ast.IncDecStmt)
		if counts || assigns && a.Tok != token.DEFINE {
			t.Errorf("%s: the header of an if changes what outlives it", at())
		}
	})
	if looked < 1000 {
		t.Errorf("looked at %d headers only", looked)
	}
}

// TestLogAttributesHaveNamesOfTheirOwn: log writes an attribute with a name of
// its own fields as "attr.source", which nobody looks for.
func TestLogAttributesHaveNamesOfTheirOwn(t *testing.T) {
	logs := regexp.MustCompile(`^(?i:debug|info|warn|error)(Context)?$`)
	reserved := []string{"time", "level", "msg", "logger", "source"}
	looked := 0
	eachNode(t, func(at func() token.Position, n ast.Node) {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return
		}
		f, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || !logs.MatchString(f.Sel.Name) || len(call.Args) < 3 {
			return
		}
		looked++
		message := 0 // or 1, after a context
		if strings.HasSuffix(f.Sel.Name, "Context") {
			message = 1
		}
		for i := message + 1; i < len(call.Args); i += 2 {
			key, ok := call.Args[i].(*ast.BasicLit)
			if !ok || key.Kind != token.STRING {
				continue
			}
			name, err := strconv.Unquote(key.Value)
			if err != nil || slices.Contains(reserved, name) {
				t.Errorf("%s: the attribute %s has the name of a field", at(), key.Value)
			}
		}
	})
	if looked < 50 {
		t.Errorf("looked at %d calls only", looked)
	}
}
