package docs

import (
	"go/ast"
	"go/build"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// packages returns the folders of the packages that users import.
func packages(t *testing.T) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		name := d.Name()
		if path != root {
			if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil {
				return fs.SkipDir
			}
			if name == "internal" || name == "testdata" || name == "examples" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") {
				return fs.SkipDir
			}
		}
		if p, err := build.ImportDir(path, 0); err == nil && p.Name != "main" && len(p.GoFiles) > 0 {
			all = append(all, path)
		}
		return nil
	})
	if err != nil || len(all) < 40 {
		t.Fatal(len(all), err)
	}
	return all
}

// parse returns what go doc shows of a package.
func parse(t *testing.T, dir string) *doc.Package {
	t.Helper()
	set := token.NewFileSet()
	p, err := build.ImportDir(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, name := range append(append(p.GoFiles, p.TestGoFiles...), p.XTestGoFiles...) {
		f, err := parser.ParseFile(set, filepath.Join(dir, name), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	d, err := doc.NewFromFiles(set, files, "github.com/micro/go-platform/"+dir)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Every exported name says what it is. Methods that everybody knows need no words.
func TestEverythingIsDocumented(t *testing.T) {
	known := map[string]bool{"Error": true, "Unwrap": true, "Is": true, "String": true}
	for _, dir := range packages(t) {
		d := parse(t, dir)
		missing := func(name string) { t.Errorf("%s: %s has no comment", strings.TrimPrefix(dir, root+"/"), name) }
		if !strings.HasPrefix(d.Doc, "Package "+d.Name+" ") {
			missing("the package")
		}
		values := func(all []*doc.Value) {
			for _, v := range all {
				for _, s := range v.Decl.Specs {
					spec := s.(*ast.ValueSpec)
					for _, n := range spec.Names {
						if n.IsExported() && v.Doc == "" && spec.Doc == nil && spec.Comment == nil {
							missing(n.Name)
						}
					}
				}
			}
		}
		funcs := func(of string, all []*doc.Func) {
			for _, f := range all {
				if f.Doc == "" && !known[f.Name] {
					missing(of + f.Name)
				}
			}
		}
		values(d.Consts)
		values(d.Vars)
		funcs("", d.Funcs)
		for _, typ := range d.Types {
			if typ.Doc == "" {
				missing(typ.Name)
			}
			values(typ.Consts)
			values(typ.Vars)
			funcs("", typ.Funcs)
			funcs(typ.Name+".", typ.Methods)
		}
	}
}

// Every package has an example that runs: without an output it is only compiled. That examples are
// called after what is there is seen by go vet.
func TestEveryPackageHasAnExample(t *testing.T) {
	for _, dir := range packages(t) {
		d := parse(t, dir)
		if strings.HasSuffix(d.Name, "test") {
			continue // a conformance suite: the tests of the backends show it
		}
		var all []*doc.Example
		all = append(all, d.Examples...)
		for _, f := range d.Funcs {
			all = append(all, f.Examples...)
		}
		for _, typ := range d.Types {
			all = append(all, typ.Examples...)
			for _, f := range append(typ.Funcs, typ.Methods...) {
				all = append(all, f.Examples...)
			}
		}
		ran := 0
		for _, e := range all {
			if e.Output != "" || e.EmptyOutput {
				ran++
			}
		}
		if ran == 0 {
			t.Errorf("%s has %d examples, of which none runs", strings.TrimPrefix(dir, root+"/"), len(all))
		}
	}
}
