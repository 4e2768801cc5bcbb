package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// TestIfHeadersOnlyDeclare: the header of an if may declare what its branches
// use. What outlives the if is assigned in a statement of its own, where a
// reader sees it.
func TestIfHeadersOnlyDeclare(t *testing.T) {
	looked := 0
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
			branch, ok := n.(*ast.IfStmt)
			if !ok || branch.Init == nil {
				return true
			}
			looked++
			a, assigns := branch.Init.(*ast.AssignStmt)
			_, counts := branch.Init.(*ast.IncDecStmt)
			if counts || assigns && a.Tok != token.DEFINE {
				t.Errorf("%s: the header of an if changes what outlives it", files.Position(branch.Pos()))
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if looked < 1000 {
		t.Errorf("looked at %d headers only", looked)
	}
}
