package config_test

import (
	"context"
	"errors"
	"testing"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/metrics"
	wrapperconfig "github.com/micro/go-platform/wrapper/config"
)

func TestMeasure(t *testing.T) {
	m, err1 := metrics.New()
	source := config.Memory("app", map[string]any{"size": 1})
	other := config.Memory("more", map[string]any{})
	c, err2 := config.New(config.WithSource(source), config.WithSource(other), config.WithValidator(func(_ context.Context, next *config.Snapshot) error {
		if next.Get("size").Int(0) > 2 {
			return errors.New("too large")
		}
		return nil
	}))
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	defer m.Close(t.Context())
	defer c.Close()
	stop := wrapperconfig.Measure(m, c)
	value := func(name string, values ...string) float64 {
		t.Helper()
		s, ok := m.Snapshot().Find(name, values...)
		if !ok {
			t.Errorf("no %s%q", name, values)
		}
		return s.Value
	}
	first := value("platform.config.version")
	for _, step := range []struct {
		what               string
		do                 func()
		version, ok, first float64 // first: whether the first source can be read
	}{
		{"as it was", func() {}, 0, 1, 1},
		{"a change", func() { source.Set(map[string]any{"size": 2}) }, 1, 1, 1},
		{"a refused change", func() { source.Set(map[string]any{"size": 3}) }, 1, 0, 1},
		{"well again", func() { source.Set(map[string]any{"size": 1}) }, 2, 1, 1},
		{"a source that fails", func() { source.Update(config.Content{}, errors.New("no such server")) }, 2, 0, 0},
		{"and is back", func() { source.Set(map[string]any{"size": 2}) }, 3, 1, 1},
	} {
		step.do()
		_ = c.Reload(t.Context())
		if v, ok := value("platform.config.version")-first, value("platform.config.status"); v != step.version || ok != step.ok {
			t.Errorf("%s: %v versions more and status %v, want %v and %v", step.what, v, ok, step.version, step.ok)
		}
		for name, want := range map[string]float64{"memory app": step.first, "memory more": 1} {
			if v := value("platform.config.source.status", name); v != want {
				t.Errorf("%s: %s is %v, want %v", step.what, name, v, want)
			}
		}
	}
	stop()
	source.Set(map[string]any{"size": 1})
	_ = c.Reload(t.Context())
	if v := value("platform.config.version") - first; v != 3 {
		t.Errorf("it was read after stop: %v versions more", v)
	}
}
