package config_test

import (
	"errors"
	"testing"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/configtest"
)

func TestMemorySourceConforms(t *testing.T) {
	configtest.Run(t, func(t *testing.T) configtest.Harness {
		m := new(config.MemorySource)
		return configtest.Harness{
			Source: func() config.Source { return m },
			Set:    func(doc string) { m.Set([]byte(doc)) },
			Delete: m.Delete,
			Down:   func() { m.Update(config.Content{}, errAway) },
			Up:     func() { m.Set([]byte(`{"n":1}`)) },
		}
	})
}

var errAway = errors.Join(config.ErrUnavailable, errors.New("memory is unavailable"))
