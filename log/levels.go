package log

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/internal/body"
)

// levels holds the rules that users set and the level that follows for every
// name that a Logger was made for.
type levels struct {
	floor slog.Level // below what any output takes nothing is enabled

	mu     sync.Mutex
	set    map[string]*setting
	rules  map[string]*rule
	closed bool
}

// Bounds of what callers of the LevelHandler can fill the memory with.
const (
	mostRules   = 1000
	longestName = 200
	maxForm     = 8 << 10
	formWithin  = 15 * time.Second
)

// setting is a rule that a user made.
type setting struct {
	level  slog.Level
	timer  *time.Timer // that ends it, or nil
	before *slog.Level // what comes back then; nil: no rule
}

// rule is what applies to one name.
type rule struct{ least atomic.Int64 }

func newLevels(initial map[string]slog.Level, floor slog.Level) *levels {
	l := &levels{floor: floor, set: map[string]*setting{}, rules: map[string]*rule{}}
	for name, level := range initial {
		l.set[name] = &setting{level: level}
	}
	return l
}

// rule returns the rule of a name, always the same one.
func (l *levels) rule(name string) *rule {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.rules[name]
	if r == nil {
		r = &rule{}
		l.rules[name] = r
		r.least.Store(int64(l.find(name)))
	}
	return r
}

// find returns the level of the setting that is nearest to a name. l.mu is held.
func (l *levels) find(name string) slog.Level {
	for n := name; ; {
		if s := l.set[n]; s != nil {
			return max(s.level, l.floor)
		}
		i := strings.LastIndexByte(n, '.')
		if n == "" {
			return max(slog.LevelInfo, l.floor)
		}
		n = n[:max(i, 0)]
	}
}

func (l *levels) apply() {
	for name, r := range l.rules {
		r.least.Store(int64(l.find(name)))
	}
}

// change makes or replaces the rule of a name. It reports false, and does nothing, if
// there are as many as most already.
func (l *levels) change(name string, level slog.Level, revertAfter time.Duration, most int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	rules := len(l.set)
	if l.set[""] == nil {
		rules++ // the root always has one
	}
	if l.set[name] == nil && name != "" && rules >= most {
		return false
	}
	if l.closed {
		return true
	}
	old := l.set[name]
	s := &setting{level: level}
	if old != nil && old.timer != nil {
		old.timer.Stop()
	}
	if revertAfter > 0 {
		switch {
		case old == nil:
		case old.timer != nil: // it was to end itself: what it stood for comes back
			s.before = old.before
		default:
			s.before = &old.level
		}
		s.timer = time.AfterFunc(revertAfter, func() { l.revert(name, s) })
	}
	l.set[name] = s
	l.apply()
	return true
}

func (l *levels) revert(name string, s *setting) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.set[name] != s {
		return
	}
	if s.before == nil {
		delete(l.set, name)
	} else {
		l.set[name] = &setting{level: *s.before}
	}
	l.apply()
}

func (l *levels) all() map[string]slog.Level {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make(map[string]slog.Level, len(l.set)+1)
	all[""] = slog.LevelInfo
	for name, s := range l.set {
		all[name] = s.level
	}
	return all
}

func (l *levels) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, s := range l.set {
		if s.timer != nil {
			s.timer.Stop()
		}
	}
}

// parseLevel reads what levelName writes, without regard to case, and slog's
// names, as INFO+2.
func parseLevel(s string) (slog.Level, error) {
	for i, name := range severities {
		if strings.EqualFold(s, name) {
			return slog.LevelDebug + slog.Level(i-severity(slog.LevelDebug)), nil
		}
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(s)); err != nil {
		return 0, fmt.Errorf("unknown level %q", s)
	}
	return level, nil
}

// parseForm reads a form, also one in parts.
func parseForm(r *http.Request) error {
	err := r.ParseForm() // whose errors ParseMultipartForm hides
	if err != nil {
		return err
	}
	err = r.ParseMultipartForm(maxForm)
	if errors.Is(err, http.ErrNotMultipart) {
		return nil
	}
	return err
}

// ServeHTTP is the LevelHandler.
func (l *levels) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodPut, http.MethodPost:
		// Another site's page must not change levels through an operator's browser.
		if err := http.NewCrossOriginProtection().Check(r); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		read := body.Bound(w, r, maxForm, formWithin)
		err := parseForm(r)
		if err != nil {
			http.Error(w, "the form can't be read", http.StatusBadRequest)
			return
		}
		read()
		level, err := parseLevel(r.FormValue("level"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		var d time.Duration
		if s := r.FormValue("for"); s != "" {
			d, err = time.ParseDuration(s)
			if err != nil || d <= 0 {
				http.Error(w, fmt.Sprintf("malformed duration %q", s), http.StatusBadRequest)
				return
			}
		}
		name := r.FormValue("name")
		if len(name) > longestName {
			http.Error(w, fmt.Sprintf("a name of more than %d bytes", longestName), http.StatusBadRequest)
			return
		}
		if !l.change(name, level, d, mostRules) {
			http.Error(w, "too many rules", http.StatusConflict)
			return
		}
	default:
		w.Header().Set("Allow", "GET, HEAD, PUT, POST")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	names := map[string]string{}
	for name, level := range l.all() {
		names[name] = levelName(level)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(names)
}
