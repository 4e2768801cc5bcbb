package config

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/micro/go-platform/internal/fault"
)

// MemorySource is a source that the program itself fills: defaults, overrides at run
// time, tests. The zero MemorySource is an absent document; Memory makes one with
// content. All methods are safe for concurrent use.
type MemorySource struct {
	name string

	mu      sync.Mutex
	content Content
	err     error
	version int
	news    chan struct{} // closed at the next change
}

// Memory returns a source of the given name that holds v: a document as JSON
// ([]byte or json.RawMessage), or anything that encoding/json marshals to an
// object.
func Memory(name string, v any) *MemorySource {
	m := &MemorySource{name: name}
	m.err = m.Set(v)
	return m
}

// Name returns "memory" and the name.
func (m *MemorySource) Name() string {
	if m.name == "" {
		return "memory"
	}
	return "memory " + m.name
}

// Set replaces the whole content. Configs that have this source change soon;
// to wait for them, Reload.
func (m *MemorySource) Set(v any) error {
	data, ok := v.([]byte)
	if !ok {
		var err error
		data, err = json.Marshal(v)
		if err != nil {
			return fault.Wrap("config", "set", m.name, fault.Mark(ErrInvalid, err))
		}
	}
	m.Update(Content{Parts: []Part{{Data: slices.Clone(data)}}}, nil)
	return nil
}

// Delete makes the content absent.
func (m *MemorySource) Delete() { m.Update(Content{}, ErrNotFound) }

// Update says what Read returns from now on, also an error. An empty revision
// is filled in.
func (m *MemorySource) Update(c Content, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.version++
	if c.Revision == "" {
		c.Revision = strconv.Itoa(m.version)
	}
	m.content, m.err = c, err
	if m.news != nil {
		close(m.news)
		m.news = nil
	}
}

// Read returns the content.
func (m *MemorySource) Read(ctx context.Context) (Content, error) {
	c, _, err := m.state()
	return c, err
}

func (m *MemorySource) state() (Content, <-chan struct{}, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.news == nil {
		m.news = make(chan struct{})
	}
	err := m.err
	if m.version == 0 && err == nil {
		err = fmt.Errorf("nothing set: %w", ErrNotFound)
	}
	return m.content, m.news, err
}

// Watch delivers the content and each change of it.
func (m *MemorySource) Watch(ctx context.Context, deliver func(Content, error)) error {
	for {
		c, news, err := m.state()
		deliver(c, err)
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
