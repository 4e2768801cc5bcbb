package config_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/config"
)

// Sources and formats as users write them: a function, values that can't be compared.
type (
	sourceFunc  func(context.Context) (config.Content, error)
	sourceSlice struct{ read []sourceFunc }
	watchSlice  struct {
		sourceSlice
		watch []func(context.Context, func(config.Content, error)) error
	}
	formatSlice struct {
		parse []func([]byte) (*config.Node, error)
	}
)

func (sourceFunc) Name() string                                        { return "odd" }
func (f sourceFunc) Read(ctx context.Context) (config.Content, error)  { return f(ctx) }
func (sourceSlice) Name() string                                       { return "odd" }
func (s sourceSlice) Read(ctx context.Context) (config.Content, error) { return s.read[0](ctx) }
func (formatSlice) Name() string                                       { return "odd" }
func (formatSlice) Extensions() []string                               { return nil }
func (f formatSlice) Parse(data []byte) (*config.Node, error)          { return f.parse[0](data) }
func (w watchSlice) Watch(ctx context.Context, d func(config.Content, error)) error {
	return w.watch[0](ctx, d)
}

// A source of the user's own that panics, gives nothing or does not answer is one that
// can't be read: what runs stays, Health says why, and when it is well again its newest
// content runs. Close waits for no answer that does not come.
func TestSourcesOfTheUsersOwn(t *testing.T) {
	content := func(text string) config.Content {
		return config.Content{Parts: []config.Part{{Data: []byte(text)}}, Revision: text}
	}
	odd := errors.New("odd")
	for name, bad := range map[string]sourceFunc{
		"panics":           func(context.Context) (config.Content, error) { panic("boom") },
		"panics, an error": func(context.Context) (config.Content, error) { panic(odd) },
		"gives nothing":    func(context.Context) (config.Content, error) { return config.Content{}, nil },
		"an error":         func(context.Context) (config.Content, error) { return config.Content{}, odd },
		"waits":            func(ctx context.Context) (config.Content, error) { <-ctx.Done(); return config.Content{}, ctx.Err() },
		"a format panics": func(context.Context) (config.Content, error) {
			return config.Content{Parts: []config.Part{{Data: []byte("x"), Format: formatSlice{[]func([]byte) (*config.Node, error){func([]byte) (*config.Node, error) { panic("boom") }}}}}}, nil
		},
		"a format, no node": func(context.Context) (config.Content, error) {
			return config.Content{Parts: []config.Part{{Data: []byte("x"), Format: formatSlice{[]func([]byte) (*config.Node, error){func([]byte) (*config.Node, error) { return nil, nil }}}}}}, nil
		},
	} {
		var well atomic.Pointer[string]
		read := func(ctx context.Context) (config.Content, error) {
			if text := well.Load(); text != nil {
				return content(*text), nil
			}
			return bad(ctx)
		}
		watch := func(ctx context.Context, deliver func(config.Content, error)) error {
			for {
				c, err := read(ctx)
				if err != nil {
					return err
				}
				deliver(c, nil)
				select {
				case <-time.After(time.Second):
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
		for kind, source := range map[string]config.Source{
			"func": sourceFunc(read), "slice": sourceSlice{[]sourceFunc{read}},
			"watched": watchSlice{sourceSlice{[]sourceFunc{read}}, []func(context.Context, func(config.Content, error)) error{watch}},
		} {
			synctest.Test(t, func(t *testing.T) {
				fresh := func(text string) { well.Store(&text) }
				well.Store(nil)
				if c, err := config.New(config.WithSource(source)); err == nil || c != nil || strings.Contains(err.Error(), "\n") {
					t.Errorf("%s, %s: New: %v, %v, want an error", name, kind, c, err)
				}
				fresh(`{"a":1}`)
				c, err := config.New(config.WithSource(source, config.Poll(time.Second)))
				if err != nil {
					t.Fatalf("%s, %s: %v", name, kind, err)
				}
				well.Store(nil)
				time.Sleep(time.Minute)
				if h := c.Health(); h.OK || c.Get("a").Int(0) != 1 {
					t.Errorf("%s, %s: a is %d, Health %+v", name, kind, c.Get("a").Int(0), h)
				}
				fresh(`{"a":2}`)
				time.Sleep(time.Minute)
				if h := c.Health(); !h.OK || c.Get("a").Int(0) != 2 {
					t.Errorf("%s, %s: well again, a is %d, Health %+v", name, kind, c.Get("a").Int(0), h)
				}
				well.Store(nil)
				if err := c.Close(); err != nil {
					t.Errorf("%s, %s: Close: %v", name, kind, err)
				}
			})
		}
	}
}
