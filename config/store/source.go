package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/internal/fault"
)

func (s *front) Source(parts ...string) config.Source { return &source{store: s, parts: parts} }

// source is a store's documents as layers of a configuration.
type source struct {
	store *front
	parts []string
	names []string
}

func (s *source) Name() string { return "store " + strings.Join(s.parts, "/") }

func (s *source) Open(context.Context) (err error) {
	s.names, err = config.Namespaces(s.parts...)
	if err == nil {
		err = checkNamespace(s.names[len(s.names)-1])
	}
	return err
}

func (s *source) Read(ctx context.Context) (config.Content, error) {
	ctx, done, err := s.store.begin(ctx)
	if err != nil {
		return config.Content{}, err
	}
	defer done()
	return s.read(ctx)
}

func (s *source) read(ctx context.Context) (config.Content, error) {
	var c config.Content
	var revisions []string
	for _, name := range s.names {
		r, err := s.store.driver.Newest(ctx, name)
		if errors.Is(err, fault.NotFound) || err == nil && r.Deleted {
			continue
		}
		if err != nil {
			return config.Content{}, fault.Adopt("config", err)
		}
		version := fmt.Sprintf("%s@%d", name, r.Number)
		c.Parts = append(c.Parts, config.Part{Name: version, Data: r.Data})
		revisions = append(revisions, version)
	}
	if len(c.Parts) == 0 {
		return config.Content{}, fault.Markf(config.ErrNotFound, "none of the documents is there")
	}
	c.Revision = strings.Join(revisions, " ")
	return c, nil
}

func (s *source) Watch(ctx context.Context, deliver func(config.Content, error)) error {
	if !s.store.life.Enter() {
		return ErrClosed
	}
	defer s.store.life.Leave()
	ctx, release := s.store.life.Join(ctx)
	defer release()
	return s.store.driver.Watch(ctx, s.names, func(err error) {
		if err != nil {
			deliver(config.Content{}, err)
			return
		}
		limited, cancel := context.WithTimeout(ctx, s.store.timeout)
		defer cancel()
		c, err := s.read(limited)
		if ctx.Err() == nil {
			deliver(c, err)
		}
	})
}
