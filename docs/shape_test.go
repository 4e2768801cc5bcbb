package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// fronts are the packages that begin with New(opts ...Option), and the name of
// what they do without a backend. "" is none: metrics count in any case, and a
// Wrapper and an App are made of the others.
var fronts = map[string]string{
	"auth": "Local", "config": "Memory", "db": "Memory", "discovery": "Memory", "event": "Memory", "kv": "Memory", "log": "Memory",
	"metrics": "", "monitor": "Memory", "router": "Memory", "sync": "Memory", "trace": "Memory", "wrapper": "", ".": "",
}

// TestPackagesHaveOneShape holds the rules of CONTRIBUTING.md, "Names and
// shapes", that can be read off declarations.
func TestPackagesHaveOneShape(t *testing.T) {
	news, defaults, looked := map[string]bool{}, map[string]bool{}, 0
	packages(t, func(folder string, file *ast.File) {
		if folder == ".." {
			folder = "."
		}
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if !d.Name.IsExported() {
					continue
				}
				looked++
				contextFirst(t, folder+"."+d.Name.Name, d.Type)
				if ofExported(d.Recv) {
					method(t, folder+"."+d.Name.Name, d.Name.Name, d.Type)
				}
				if d.Recv == nil {
					constructor(t, folder, d, news)
					embedded(t, folder, d.Name.Name, defaults)
				}
			case *ast.GenDecl:
				interfaces(d, func(kind, name string, f *ast.FuncType) {
					looked++
					contextFirst(t, folder+"."+kind+"."+name, f)
					method(t, folder+"."+kind+"."+name, name, f)
				})
			}
		}
	})
	for folder, name := range fronts {
		if !news[folder] {
			t.Errorf("%s has no New(opts ...Option)", folder)
		}
		if name != "" && !defaults[folder] {
			t.Errorf("%s has no %s", folder, name)
		}
	}
	if looked < 1500 {
		t.Errorf("looked at %d functions and methods only", looked)
	}
}

// constructor: what New takes last is options, what it returns last is an error.
func constructor(t *testing.T, folder string, d *ast.FuncDecl, news map[string]bool) {
	if d.Name.Name != "New" {
		return
	}
	params, results := types(d.Type.Params), types(d.Type.Results)
	if _, front := fronts[folder]; front && len(params) > 0 && params[len(params)-1] == "...Option" {
		news[folder] = true
	}
	if len(results) != 2 || results[1] != "error" {
		t.Errorf("%s.New returns %v, want what it makes and an error", folder, results)
	}
}

// embedded: the default has one spelling.
func embedded(t *testing.T, folder, name string, defaults map[string]bool) {
	if want := fronts[folder]; want != "" && name == want {
		defaults[folder] = true
	}
	if strings.Contains(name, "Memory") && name != "Memory" && name != "NewMemoryDriver" {
		t.Errorf("%s.%s: what is kept in memory is called Memory", folder, name)
	}
}

// contextFirst: a context is the first argument.
func contextFirst(t *testing.T, name string, f *ast.FuncType) {
	if i := slices.Index(types(f.Params), "context.Context"); i > 0 {
		t.Errorf("%s takes its context as argument %d", name, i+1)
	}
}

// ofExported reports whether a receiver is of an exported type.
func ofExported(recv *ast.FieldList) bool {
	if recv == nil {
		return false
	}
	x := recv.List[0].Type
	for {
		switch e := x.(type) {
		case *ast.StarExpr:
			x = e.X
		case *ast.IndexExpr:
			x = e.X
		case *ast.Ident:
			return e.IsExported()
		default:
			return false
		}
	}
}

// method: Close, Features and Stats have one form each.
func method(t *testing.T, full, name string, f *ast.FuncType) {
	params, results := types(f.Params), types(f.Results)
	switch name {
	case "Close":
		if len(params) > 1 || len(params) == 1 && params[0] != "context.Context" || !slices.Equal(results, []string{"error"}) {
			t.Errorf("%s(%v) %v, want Close() error or Close(ctx) error", full, params, results)
		}
	case "Features", "Stats":
		if len(results) != 1 || results[0] == "error" || slices.Contains(params, "context.Context") {
			t.Errorf("%s(%v) %v: it says what is known and asks nobody", full, params, results)
		}
	}
}

// interfaces calls f with the methods of exported interfaces.
func interfaces(d *ast.GenDecl, f func(kind, name string, m *ast.FuncType)) {
	for _, s := range d.Specs {
		spec, ok := s.(*ast.TypeSpec)
		if !ok || !spec.Name.IsExported() {
			continue
		}
		face, ok := spec.Type.(*ast.InterfaceType)
		if !ok {
			continue
		}
		for _, m := range face.Methods.List {
			if sig, ok := m.Type.(*ast.FuncType); ok && len(m.Names) == 1 {
				f(spec.Name.Name, m.Names[0].Name, sig)
			}
		}
	}
}

// types returns the types of a list of fields as they are written, one for
// each name; of those with parameters the name alone.
func types(l *ast.FieldList) []string {
	if l == nil {
		return nil
	}
	var out []string
	for _, f := range l.List {
		name := ""
		switch x := f.Type.(type) {
		case *ast.Ident:
			name = x.Name
		case *ast.SelectorExpr:
			if p, ok := x.X.(*ast.Ident); ok {
				name = p.Name + "." + x.Sel.Name
			}
		case *ast.Ellipsis:
			name = "..." + typeName(x.Elt)
		}
		for range max(1, len(f.Names)) {
			out = append(out, name)
		}
	}
	return out
}

// TestANilOptionIsNotPassedOver: whoever applies options by themselves compares
// each with nil and makes an error of it; fronts.Apply does so for all. The zero
// option of a struct does nothing and needs no check.
func TestANilOptionIsNotPassedOver(t *testing.T) {
	looked := 0
	packages(t, func(folder string, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			loop, ok := n.(*ast.RangeStmt)
			if !ok {
				return true
			}
			v, ok := loop.Value.(*ast.Ident)
			if !ok || !strings.HasPrefix(v.Name, "opt") || !called(loop.Body, v.Name) {
				return true
			}
			looked++
			if !refusesNil(loop.Body, v.Name) {
				t.Errorf("%s passes over a nil %s in silence", folder, v.Name)
			}
			return true
		})
	})
	if looked == 0 {
		t.Error("no loop over options was found")
	}
}

func called(body *ast.BlockStmt, name string) (yes bool) {
	ast.Inspect(body, func(n ast.Node) bool {
		if c, ok := n.(*ast.CallExpr); ok {
			f, ok := c.Fun.(*ast.Ident)
			yes = yes || ok && f.Name == name
		}
		return true
	})
	return yes
}

// refusesNil finds `if opt == nil` that ends in a return.
func refusesNil(body *ast.BlockStmt, name string) (yes bool) {
	ast.Inspect(body, func(n ast.Node) bool {
		branch, ok := n.(*ast.IfStmt)
		if !ok || !isNil(branch.Cond, name) || len(branch.Body.List) == 0 {
			return true
		}
		_, returns := branch.Body.List[len(branch.Body.List)-1].(*ast.ReturnStmt)
		yes = yes || returns
		return true
	})
	return yes
}

// isNil reports whether a condition is name == nil.
func isNil(cond ast.Expr, name string) bool {
	c, ok := cond.(*ast.BinaryExpr)
	if !ok || c.Op != token.EQL {
		return false
	}
	x, _ := c.X.(*ast.Ident)
	y, _ := c.Y.(*ast.Ident)
	return x != nil && y != nil && x.Name == name && y.Name == "nil"
}

// TestSuitesBeginWithRun: each public suite is called by Run(t, …).
func TestSuitesBeginWithRun(t *testing.T) {
	var suites []string
	for _, pattern := range []string{"../*/*test", "../*/*/*test"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		suites = append(suites, found...)
	}
	n := 0
	for _, folder := range suites {
		if strings.Contains(folder, "/internal/") || strings.HasPrefix(folder, "../internal/") || strings.HasPrefix(folder, "../interop/") {
			continue
		}
		files, err := filepath.Glob(folder + "/*.go")
		if err != nil || len(files) == 0 {
			continue
		}
		n++
		found := false
		for _, name := range files {
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range file.Decls {
				f, ok := d.(*ast.FuncDecl)
				if ok && f.Recv == nil && f.Name.Name == "Run" && len(f.Type.Params.List) == 2 {
					found = true
				}
			}
		}
		if !found {
			t.Errorf("%s has no Run(t, …)", folder)
		}
	}
	if n < 12 {
		t.Errorf("looked at %d suites only", n)
	}
}

// TestEnginesHaveOneShape: who knows one engine knows the others.
func TestEnginesHaveOneShape(t *testing.T) {
	got := map[string]map[string]string{}
	packages(t, func(folder string, file *ast.File) {
		vendor, ok := strings.CutPrefix(folder, "engine/")
		if !ok {
			return
		}
		if got[vendor] == nil {
			got[vendor] = map[string]string{}
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if ok && f.Name.IsExported() && (f.Recv == nil || ofExported(f.Recv)) {
				got[vendor][f.Name.Name] = strings.Join(types(f.Type.Params), ", ") + ": " + strings.Join(types(f.Type.Results), ", ")
			}
		}
	})
	for vendor, has := range got {
		for name, want := range map[string]string{
			"Open": "string, ...Option: , error", "Ping": "context.Context: error", "Close": ": error", "Conn": ": , error", "WithTLS": ": Option",
		} {
			if has[name] != want {
				t.Errorf("engine/%s: %s is %q, want %q", vendor, name, has[name], want)
			}
		}
	}
	if len(got) < 9 {
		t.Errorf("looked at %d engines only", len(got))
	}
}
