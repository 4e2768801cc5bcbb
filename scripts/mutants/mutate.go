package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"path/filepath"
	"slices"
	"strings"

	"github.com/micro/go-platform/scripts/internal/overlay"
)

// mutant is one change.
type mutant struct {
	n     int
	place string // "auth/http.go:12"
	what  string
}

func (m mutant) String() string { return m.place + ": " + m.what }

// edit replaces the text from one offset to another. Within its own text, the
// pieces that keep show stand in their mutated form.
type edit struct {
	from, to int
	write    func(w *writer)
}

// mutated collects the edits of one file.
type mutated struct {
	source
	fset  *token.FileSet
	info  *types.Info
	edits []edit
	next  *int
	all   *[]mutant
	name  string
}

// mutate returns the mutants of p, and the files that have them.
func mutate(p pkg, only string) ([]mutant, overlay.Files, error) {
	fset, sources, info, err := p.check()
	if err != nil {
		return nil, nil, err
	}
	var all []mutant
	next := 0
	files := overlay.Files{}
	for _, s := range sources {
		if !strings.Contains(filepath.Base(s.path), only) || ast.IsGenerated(s.file) {
			continue
		}
		m := &mutated{source: s, fset: fset, info: info, next: &next, all: &all, name: filepath.Base(p.Dir) + "/" + filepath.Base(s.path)}
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil {
				m.function(f.Type, f.Body)
			}
		}
		if len(m.edits) == 0 {
			continue
		}
		files[s.path] = m.render()
	}
	if len(all) > 0 {
		files[filepath.Join(p.Dir, "zz_mutants.go")] = fmt.Appendf(nil, chooserSource, sources[0].file.Name.Name, next)
	}
	return all, files, nil
}

// chooserSource is the file that every mutated package gets.
const chooserSource = `package %s

import (
	mutantsOS "os"
	mutantsConv "strconv"
	mutantsAtomic "sync/atomic"
)

var (
	mutantChosen, _ = mutantsConv.Atoi(mutantsOS.Getenv("MUTANT"))
	mutantReached   = mutantsOS.Getenv("MUTANTS_REACHED")
	mutantSeen      [%d + 1]mutantsAtomic.Bool
)

func mutant__(n int) bool {
	if mutantReached != "" && !mutantSeen[n].Swap(true) {
		f, err := mutantsOS.OpenFile(mutantReached, mutantsOS.O_APPEND|mutantsOS.O_CREATE|mutantsOS.O_WRONLY, 0o600)
		if err == nil {
			f.WriteString(mutantsConv.Itoa(n) + "\n")
			f.Close()
		}
	}
	return mutantChosen == n
}
`

// add notes a mutant at pos and returns its number.
func (m *mutated) add(pos token.Pos, format string, args ...any) int {
	*m.next++
	what := strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " ")
	if r := []rune(what); len(r) > 140 {
		what = string(r[:140]) + "…"
	}
	*m.all = append(*m.all, mutant{*m.next, fmt.Sprintf("%s:%d", m.name, m.fset.Position(pos).Line), what})
	return *m.next
}

func (m *mutated) at(p token.Pos) int          { return m.fset.Position(p).Offset }
func (m *mutated) raw(n ast.Node) string       { return string(m.text[m.at(n.Pos()):m.at(n.End())]) }
func (m *mutated) rawTo(a, b token.Pos) string { return string(m.text[m.at(a):m.at(b)]) }
func (m *mutated) edit(n ast.Node, write func(w *writer)) {
	m.edits = append(m.edits, edit{m.at(n.Pos()), m.at(n.End()), write})
}

// function mutates one function's body; literals inside have results of their own.
func (m *mutated) function(t *ast.FuncType, body *ast.BlockStmt) {
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			m.function(n.Type, n.Body)
			return false
		case *ast.GenDecl:
			return n.Tok == token.VAR
		case *ast.BlockStmt:
			m.statements(n.List)
		case *ast.CaseClause:
			m.statements(n.Body)
		case *ast.CommClause:
			m.statements(n.Body)
		case *ast.IfStmt:
			m.branch(n)
		case *ast.BinaryExpr:
			m.binary(n)
		case *ast.UnaryExpr:
			if n.Op == token.NOT && m.isBool(n) {
				k := m.add(n.Pos(), "%s → %s", m.raw(n), m.raw(n.X))
				m.choose(n, k, m.raw(n.X))
			}
		case *ast.ReturnStmt:
			m.errorToNil(t, n)
		}
		return true
	})
}

// statements drops calls whose results nobody uses, deferred ones too. It keeps
// those that make no difference: lines of a log, and the deferred end of a
// context, which frees memory earlier.
func (m *mutated) statements(list []ast.Stmt) {
	for _, s := range list {
		switch s := s.(type) {
		case *ast.ExprStmt:
			call, ok := s.X.(*ast.CallExpr)
			if !ok || m.isPanic(call) || m.isLog(call) {
				continue
			}
			k := m.add(s.Pos(), "without %s", m.raw(s))
			m.edit(s, func(w *writer) { w.printf("if !mutant__(%d) { ", k); w.inner(s); w.printf(" }") })
		case *ast.DeferStmt:
			if m.isNamed(s.Call.Fun, "context.CancelFunc") {
				continue
			}
			k := m.add(s.Pos(), "without %s", m.raw(s))
			m.edit(s, func(w *writer) { w.printf("if !mutant__(%d) { ", k); w.inner(s); w.printf(" }") })
		}
	}
}

func (m *mutated) isPanic(call *ast.CallExpr) bool {
	id, ok := call.Fun.(*ast.Ident)
	return ok && id.Name == "panic"
}

// isLog reports whether the call is of a method of slog.Logger.
func (m *mutated) isLog(call *ast.CallExpr) bool {
	of, ok := call.Fun.(*ast.SelectorExpr)
	return ok && m.isNamed(of.X, "*log/slog.Logger")
}

func (m *mutated) isNamed(e ast.Expr, name string) bool {
	tv, ok := m.info.Types[e]
	return ok && types.TypeString(tv.Type, nil) == name
}

// branch makes an if that is never taken.
func (m *mutated) branch(s *ast.IfStmt) {
	if !m.isBool(s.Cond) {
		return
	}
	k := m.add(s.Cond.Pos(), "never %s", m.raw(s.Cond))
	m.edit(s.Cond, func(w *writer) { w.printf("(!mutant__(%d) && (", k); w.inner(s.Cond); w.printf("))") })
}

var swapped = map[token.Token]token.Token{
	token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR,
	token.EQL: token.NEQ, token.NEQ: token.EQL, token.LAND: token.LOR, token.LOR: token.LAND,
}

// binary changes comparisons and boolean operators.
func (m *mutated) binary(e *ast.BinaryExpr) {
	op, ok := swapped[e.Op]
	if !ok || !m.isBool(e) {
		return
	}
	other := m.raw(e.X) + m.rawTo(e.X.End(), e.OpPos) + op.String() + m.rawTo(e.OpPos+token.Pos(len(e.Op.String())), e.Y.Pos()) + m.raw(e.Y)
	k := m.add(e.OpPos, "%s → %s", m.raw(e), other)
	m.choose(e, k, other)
}

// choose writes e as it is, or other if mutant k is chosen. Each is evaluated
// at most once.
func (m *mutated) choose(e ast.Expr, k int, other string) {
	m.edit(e, func(w *writer) {
		w.printf("(mutant__(%d) && (%s) || !mutant__(%d) && (", k, other, k)
		w.inner(e)
		w.printf("))")
	})
}

// isBool reports whether e is of type bool and no constant.
func (m *mutated) isBool(e ast.Expr) bool {
	tv, ok := m.info.Types[e]
	if !ok || tv.Value != nil {
		return false
	}
	b, ok := tv.Type.(*types.Basic)
	return ok && (b.Kind() == types.Bool || b.Kind() == types.UntypedBool)
}

// errorToNil returns nil for the error that is the last result.
func (m *mutated) errorToNil(t *ast.FuncType, s *ast.ReturnStmt) {
	if !returnsError(m.info, t, s) {
		return
	}
	last := s.Results[len(s.Results)-1]
	k := m.add(s.Pos(), "%s → nil", m.raw(s))
	before := m.rawTo(s.Pos(), last.Pos())
	// Both are blocks of their own, so that a label or a case may stand before.
	m.edit(s, func(w *writer) { w.printf("if mutant__(%d) { %snil }; ", k, before); w.inner(s) })
}

// returnsError reports whether a return of a function of type t has an error,
// not nil, as its last result.
func returnsError(info *types.Info, t *ast.FuncType, s *ast.ReturnStmt) bool {
	if t.Results == nil || len(s.Results) == 0 {
		return false
	}
	declared := info.Types[t.Results.List[len(t.Results.List)-1].Type]
	if declared.Type == nil || !types.Identical(declared.Type, types.Universe.Lookup("error").Type()) {
		return false
	}
	last, ok := info.Types[s.Results[len(s.Results)-1]]
	if !ok || last.IsNil() {
		return false
	}
	_, several := last.Type.(*types.Tuple)
	return !several
}

// writer puts a file together.
type writer struct {
	text  []byte
	edits []edit // outer ones first
	out   []byte
	base  func(token.Pos) int
	depth map[[2]int]int // how many edits of one range are open
}

func (w *writer) printf(format string, args ...any) { w.out = fmt.Appendf(w.out, format, args...) }

// inner writes a node's text with the edits inside, and with further edits of
// the node itself.
func (w *writer) inner(n ast.Node) {
	from, to := w.base(n.Pos()), w.base(n.End())
	w.depth[[2]int{from, to}]++
	w.span(from, to)
	w.depth[[2]int{from, to}]--
}

// span writes the text between two offsets.
func (w *writer) span(from, to int) {
	at := from
	for at < to {
		e := w.first(at, from, to)
		if e == nil {
			break
		}
		w.out = append(w.out, w.text[at:e.from]...)
		e.write(w)
		at = e.to
	}
	w.out = append(w.out, w.text[at:to]...)
}

// first returns the outermost edit that begins earliest at or after an offset.
// Edits of the whole range come one inside the other.
func (w *writer) first(at, from, to int) *edit {
	skip := w.depth[[2]int{from, to}]
	for i := range w.edits {
		e := &w.edits[i]
		if e.from < at || e.to > to {
			continue
		}
		if e.from == from && e.to == to && skip > 0 {
			skip--
			continue
		}
		return e
	}
	return nil
}

func (m *mutated) render() []byte {
	slices.SortStableFunc(m.edits, func(a, b edit) int {
		if a.from != b.from {
			return a.from - b.from
		}
		return b.to - a.to
	})
	w := &writer{text: m.text, edits: m.edits, base: m.at, depth: map[[2]int]int{}}
	w.span(0, len(m.text))
	return w.out
}
