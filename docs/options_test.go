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

// backends are what options that choose a backend are called: they name it.
var backends = map[string]bool{
	"Backend": true, "Memory": true, "Local": true, "SQLite": true, "MySQL": true, "Postgres": true, "Quorum": true, "Transport": true, "Journal": true, "SyncedJournal": true,
	"On": true, "URL": true, "QuorumOn": true, "Registry": true, "FromDiscovery": true,
	"ToFile": true, "ToLog": true, "ToStdout": true, "ToWriter": true, "ToOutbox": true, "ToStream": true,
}

// TestOptionsAreNamedByWhatTakesThem holds the rule of CONTRIBUTING.md: what New takes is WithX, or
// names a backend; what a call takes is bare.
func TestOptionsAreNamedByWhatTakesThem(t *testing.T) {
	found := map[bool]int{}
	packages(t, func(folder string, file *ast.File) {
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv != nil || !f.Name.IsExported() || f.Type.Results == nil || len(f.Type.Results.List) != 1 {
				continue
			}
			kind := typeName(f.Type.Results.List[0].Type)
			if !strings.HasSuffix(kind, "Option") {
				continue
			}
			ofNew := constructorOptions[kind]
			with := strings.HasPrefix(f.Name.Name, "With")
			found[ofNew]++
			if ofNew && !with && !backends[f.Name.Name] || !ofNew && with {
				t.Errorf("%s.%s is a %s", folder, f.Name.Name, kind)
			}
		}
	})
	if found[true] < 200 || found[false] < 60 {
		t.Errorf("looked at %d options of constructors and %d of calls only", found[true], found[false])
	}
}

// constructorOptions are the types of options that something is made with.
var constructorOptions = map[string]bool{
	"Option": true, "HandlerOption": true, "TransportOption": true, "CredentialsOption": true, "QuotaOption": true, "LoaderOption": true,
}

func typeName(e ast.Expr) string {
	switch x := e.(type) {
	case *ast.Ident:
		return x.Name
	case *ast.SelectorExpr: // of the package that a backend is for
		return x.Sel.Name
	}
	return ""
}

// packages calls f with each file of the packages that users import.
func packages(t *testing.T, f func(folder string, file *ast.File)) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		name := d.Name()
		switch {
		case err != nil:
			return err
		case d.IsDir() && (name == "internal" || name == "bench" || name == "interop" || name == "examples" || name == "scripts" || strings.HasSuffix(name, "test") || strings.HasPrefix(name, ".") && name != ".."):
			return filepath.SkipDir
		case !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		f(strings.TrimPrefix(filepath.Dir(path), "../"), file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
