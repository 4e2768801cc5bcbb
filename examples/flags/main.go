// Command flags turns features on and off in a running program, by a configuration that keeps its
// history, and rolls a change back.
//
//	go run ./examples/flags
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/store"
)

// snippet: flags
// Features are what can be switched. What is not set has its default; what is not allowed is
// refused before it is stored.
type Features struct {
	NewCheckout bool   `config:"new_checkout"`
	Discount    int    `config:"discount" min:"0" max:"50"`
	Banner      string `config:"banner" default:"Welcome"`
}

func open() (store.Store, config.Config, *config.Binding[Features], error) {
	st, err := store.New( // or with storekv.Backend(redisStore): shared by all instances
		store.WithAuthors(),
		store.WithValidator(func(ctx context.Context, _ string, next *config.Snapshot) error {
			return config.Matches[Features]("features")(ctx, next)
		}))
	if err != nil {
		return nil, nil, nil, err
	}
	cfg, err := config.New(config.WithSource(st.Source("shop"), config.Optional()))
	if err != nil {
		return nil, nil, nil, errors.Join(err, st.Close())
	}
	features, err := config.Bind[Features](cfg, "features")
	if err != nil {
		return nil, nil, nil, errors.Join(err, cfg.Close(), st.Close())
	}
	return st, cfg, features, nil
}

// checkout asks the flag at each call: one atomic read.
func checkout(features *config.Binding[Features]) string {
	f := features.Load()
	if f.NewCheckout {
		return fmt.Sprintf("new checkout, %d %% off", f.Discount)
	}
	return "old checkout"
}

// end snippet

func run(ctx context.Context, out io.Writer) error {
	st, cfg, features, err := open()
	if err != nil {
		return err
	}
	defer st.Close()
	defer cfg.Close()
	// show waits until this process has the newest version; without it that takes some 50 ms.
	show := func(what string) error {
		err := cfg.Reload(ctx)
		fmt.Fprintf(out, "%-16s %s\n", what+":", checkout(features))
		return err
	}
	if err := show("at first"); err != nil {
		return err
	}

	// snippet: rollback
	before, err := st.Set(ctx, "shop", "features.new_checkout", false, store.Author("ann"))
	if err != nil {
		return err
	}
	patch := []byte(`{"features": {"new_checkout": true, "discount": 20}}`)
	_, err = st.Patch(ctx, "shop", patch, store.Author("bob"), store.Comment("for everybody"))
	if err != nil {
		return err
	}
	if err := show("switched on"); err != nil {
		return err
	}
	_, err = st.Set(ctx, "shop", "features.discount", 200, store.Author("bob"))
	fmt.Fprintf(out, "%-16s %t\n", "200 % refused:", errors.Is(err, store.ErrDenied))
	_, err = st.Rollback(ctx, "shop", before.Number, store.Author("ann"), store.Comment("errors went up"))
	if err != nil {
		return err
	}
	// end snippet
	if err := show("rolled back"); err != nil {
		return err
	}
	for v, err := range st.History(ctx, store.Query{Namespace: "shop"}) {
		if err != nil {
			return err
		}
		fmt.Fprintln(out, v)
	}
	return nil
}

const about = "flags: a feature is switched on in a running program, a bad value is refused, and the change is rolled back.\n\n"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	fmt.Print(about)
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
