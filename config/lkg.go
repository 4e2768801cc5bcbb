package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// savedFile is the last-known-good file. It holds every layer's own content,
// so that a layer that is up needs nothing of it.
type savedFile struct {
	Sources []savedSource `json:"sources"`

	byName map[string]savedSource
}

type savedSource struct {
	Name     string      `json:"name"`
	Saved    time.Time   `json:"saved"`
	Revision string      `json:"revision,omitempty"`
	Parts    []savedPart `json:"parts"`

	trees []*tree
}

type savedPart struct {
	Name    string          `json:"name,omitempty"`
	Untyped bool            `json:"untyped,omitempty"` // strings are Text
	Secret  bool            `json:"secret,omitempty"`
	Content json.RawMessage `json:"content"`
}

// loadSaved reads the last-known-good file. It is empty if there is none, or
// nothing of it is young enough; the error says why for the report.
func (c *front) loadSaved() (*savedFile, error) {
	s := &savedFile{byName: map[string]savedSource{}}
	if c.saved == "" {
		return s, nil
	}
	data, err := os.ReadFile(c.saved)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(data, s)
	}
	if err != nil {
		return s, fmt.Errorf("last-known-good file: %w", err)
	}
	var old error
	for _, src := range s.Sources {
		if age := time.Since(src.Saved); c.savedAge > 0 && age > c.savedAge {
			old = fmt.Errorf("last-known-good file: %s is %v old, more than %v", src.Name, age.Round(time.Second), c.savedAge)
			continue
		}
		for _, p := range src.Parts {
			t, err := p.tree(&provenance{source: src.Name + " (last known good)", part: p.Name, revision: src.Revision})
			if err != nil {
				// Without its kind: it is the source that fails the start.
				return s, fmt.Errorf("last-known-good file: %s: %v", src.Name, err)
			}
			src.trees = append(src.trees, t)
		}
		s.byName[src.Name] = src
	}
	return s, old
}

func (p savedPart) tree(from *provenance) (*tree, error) {
	n, err := JSON{}.Parse(p.Content)
	if err != nil {
		return nil, err
	}
	if p.Untyped {
		untype(n)
	}
	t, err := seal(n, from)
	if err == nil && p.Secret {
		t.conceal()
	}
	return t, err
}

// restore gives a layer its last-known-good content, if there is any. Its error
// stays.
func (s *savedFile) restore(l *layer) {
	src, ok := s.byName[l.src.Name()]
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.have, l.parts, l.revision, l.restored = true, src.trees, src.Revision, src.Saved
}

// complete reports whether the file holds all required layers.
func (s *savedFile) complete(layers []*layer) bool {
	for _, l := range layers {
		if _, ok := s.byName[l.src.Name()]; !ok && !l.optional {
			return false
		}
	}
	return len(s.byName) > 0
}

// parts are the saved parts of a layer, see build.
func (s *savedFile) parts(l *layer) ([]*tree, time.Time) {
	src := s.byName[l.src.Name()]
	return src.trees, src.Saved
}

// saveEvery is how often the file is written again without a change: its age is
// that of the knowledge that the content is good.
func (c *front) saveEvery() time.Duration {
	if c.savedAge > 0 {
		return max(c.savedAge/4, time.Minute)
	}
	return time.Hour
}

// save writes the file. A layer whose content is itself restored keeps its time;
// one that can't be read was good until it failed. Nothing is written while the
// newest content is refused.
func (c *front) save() {
	if c.saved == "" {
		return
	}
	c.stateMu.Lock()
	refused := c.rejected != nil
	c.stateMu.Unlock()
	if refused {
		return
	}
	err := c.write()
	c.stateMu.Lock()
	defer c.stateMu.Unlock()
	if err != nil && c.unsaved == nil {
		c.logger.Warn("config: last-known-good file not written", "error", err)
	}
	c.unsaved = err
}

// used is what a layer had when a snapshot was made of it.
type used struct {
	have     bool
	parts    []*tree
	revision string
	restored time.Time
}

// used returns what the layer has; l.mu is held.
func (l *layer) used() used { return used{l.have, l.parts, l.revision, l.restored} }

// write writes what the running snapshot was made of: what a source has said since
// then may yet be refused.
func (c *front) write() error {
	var f savedFile
	for i, u := range c.current.Load().used {
		l := c.sources[i]
		l.mu.Lock()
		s := savedSource{Name: l.src.Name(), Saved: time.Now(), Revision: u.revision} // followed, and good …
		switch {
		case !u.restored.IsZero():
			s.Saved = u.restored
		case l.err != nil: // … until then
			s.Saved = l.since
		}
		l.mu.Unlock()
		if !u.have {
			continue
		}
		for _, t := range u.parts {
			p := savedPart{Untyped: hasText(t), Secret: t.concealed(), Content: appendJSON(nil, t, "", nil)}
			if t.from != nil {
				p.Name = t.from.part
			}
			s.Parts = append(s.Parts, p)
		}
		f.Sources = append(f.Sources, s)
	}
	data, err := json.MarshalIndent(f, "", " ")
	if err != nil {
		return err
	}
	return replaceFile(c.saved, append(data, '\n'))
}

// replaceFile writes a file that only its owner can read, so that a crash
// leaves the old or the new content.
func replaceFile(name string, data []byte) error {
	return replaceWith(name, data, func(dir, pattern string) (tempFile, error) { return os.CreateTemp(dir, pattern) }) // mode 0600
}

// tempFile is what replaceWith needs of an *os.File.
type tempFile interface {
	io.WriteCloser
	Name() string
	Sync() error
}

func replaceWith(name string, data []byte, create func(dir, pattern string) (tempFile, error)) error {
	f, err := create(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync() // before the rename, which may reach the disk first
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	return err
}

func hasText(t *tree) bool {
	return t.kind == Text || slices.ContainsFunc(t.members, func(m branch) bool { return hasText(m.val) })
}

func untype(n *Node) {
	if n.Kind == String {
		n.Kind = Text
	}
	for _, m := range n.Members {
		untype(m.Value)
	}
}
