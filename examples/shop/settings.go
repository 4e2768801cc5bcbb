package main

import (
	"context"
	"errors"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/store"
	storekv "github.com/micro/go-platform/config/store/kv"
	"github.com/micro/go-platform/router"
)

// Features are what can be switched while the shop runs, on the page or by
// whatever else writes to the store. What is not allowed is refused there.
type Features struct {
	Discount int    `config:"discount" min:"0" max:"50"` // per cent
	Banner   string `config:"banner" default:"Welcome"`
}

// document is the configuration that a shop begins with: version 2 of the
// catalogue is for a share of the users.
func document() map[string]any {
	return map[string]any{
		"features": map[string]any{"discount": 0},
		"router": map[string]any{"rules": []router.Rule{{
			Name: "catalogue-2", Service: "catalogue", Branches: []router.Branch{{Variant: "new", Version: "2", Weight: 25}},
		}}},
	}
}

// openConfig opens the store of the configuration, and what follows it.
func (s *shop) openConfig(ctx context.Context) error {
	shared, err := s.store("shop-config")
	if err != nil {
		return err
	}
	s.settings, err = store.New(storekv.Backend(shared), store.WithValidator(func(ctx context.Context, _ string, next *config.Snapshot) error {
		return config.Matches[Features]("features")(ctx, next)
	}))
	if err != nil {
		return err
	}
	_, err = s.settings.Put(ctx, "shop", document(), store.IfVersion(0), store.Author("shop"), store.Comment("as it begins"))
	if err != nil && !errors.Is(err, store.ErrConflict) { // another process was first
		return err
	}
	s.config, err = config.New(config.WithSource(s.settings.Source("shop")))
	return err
}
