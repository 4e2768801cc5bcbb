package main

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// untested runs the tests and prints the error returns of the packages that
// they never run. The tests are those of the packages, or of o.by.
func untested(w io.Writer, patterns []string, packages []pkg, o options) error {
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	profile := filepath.Join(dir, "profile")
	tests := patterns
	if o.by != "" {
		tests = strings.Fields(o.by)
	}
	args := []string{"test", "-vet=off", "-count=1", "-p", fmt.Sprint(o.parallel), "-timeout", o.timeout.String(),
		"-coverprofile", profile, "-coverpkg", strings.Join(patterns, ",")}
	if o.run != "" {
		args = append(args, "-run", o.run)
	}
	if o.short {
		args = append(args, "-short")
	}
	out, failed := exec.Command("go", append(args, tests...)...).CombinedOutput()
	if failed != nil { // what has run has run
		failed = fmt.Errorf("tests: %w\n%s", failed, out)
	}
	text, err := os.ReadFile(profile)
	if failed != nil && err != nil {
		return failed
	}
	if err != nil {
		return err
	}
	ran := parseProfile(text)
	for _, p := range packages {
		fset, sources, info, err := p.check()
		if err != nil {
			return err
		}
		all, never := 0, 0
		for _, s := range sources {
			if ast.IsGenerated(s.file) || !strings.Contains(filepath.Base(s.path), o.file) {
				continue
			}
			blocks := ran[path.Join(p.ImportPath, filepath.Base(s.path))]
			errorReturns(s.file, info, func(r *ast.ReturnStmt) {
				all++
				at := fset.Position(r.Pos())
				if !blocks.ran(at) {
					never++
					what := strings.Join(strings.Fields(string(s.text[at.Offset:fset.Position(r.End()).Offset])), " ")
					fmt.Fprintf(w, "%s/%s:%d: %s\n", filepath.Base(p.Dir), filepath.Base(s.path), at.Line, what)
				}
			})
		}
		if all > 0 {
			fmt.Fprintf(w, "# %s: %d error returns, %d never run (%.1f %%)\n", p.ImportPath, all, never, 100*float64(never)/float64(all))
		}
	}
	return failed
}

// errorReturns calls do for each return whose last result is an error.
func errorReturns(f *ast.File, info *types.Info, do func(*ast.ReturnStmt)) {
	var walk func(t *ast.FuncType, body *ast.BlockStmt)
	walk = func(t *ast.FuncType, body *ast.BlockStmt) {
		ast.Inspect(body, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncLit:
				walk(n.Type, n.Body)
				return false
			case *ast.ReturnStmt:
				if returnsError(info, t, n) {
					do(n)
				}
			}
			return true
		})
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Body != nil {
				walk(n.Type, n.Body)
			}
			return false
		case *ast.FuncLit: // of a package's variable
			walk(n.Type, n.Body)
			return false
		}
		return true
	})
}

// block is a part of a file that runs as a whole.
type block struct {
	from, to [2]int // line and column
	count    int
}

// blocks are those of one file, in order.
type blocks []block

// ran reports whether the innermost block at a place ran.
func (b blocks) ran(p token.Position) bool {
	at := [2]int{p.Line, p.Column}
	count := 0
	for _, b := range b {
		if slices.Compare(b.from[:], at[:]) <= 0 && slices.Compare(at[:], b.to[:]) < 0 {
			count = b.count
		}
	}
	return count > 0
}

// parseProfile reads what go test -coverprofile writes: blocks by file, their
// counts added up over all tests.
func parseProfile(text []byte) map[string]blocks {
	counts := map[string]map[[2][2]int]int{}
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		file, rest, _ := strings.Cut(s.Text(), ".go:")
		var from, to [2]int
		var statements, count int
		_, err := fmt.Sscanf(rest, "%d.%d,%d.%d %d %d", &from[0], &from[1], &to[0], &to[1], &statements, &count)
		if err != nil {
			continue // the first line, which has the mode
		}
		file += ".go"
		if counts[file] == nil {
			counts[file] = map[[2][2]int]int{}
		}
		counts[file][[2][2]int{from, to}] += count
	}
	files := map[string]blocks{}
	for file, of := range counts {
		for place, count := range of {
			files[file] = append(files[file], block{place[0], place[1], count})
		}
		slices.SortFunc(files[file], func(a, b block) int {
			return cmp.Or(slices.Compare(a.from[:], b.from[:]), slices.Compare(b.to[:], a.to[:]))
		})
	}
	return files
}
