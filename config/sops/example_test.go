package sops_test

import (
	"fmt"
	"os"

	"filippo.io/age"
	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/sops"
)

func Example() {
	f, err := os.Open("testdata/key.txt") // a mounted Secret, say
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Close()
	// snippet: sops
	keys, err := age.ParseIdentities(f)
	if err != nil {
		fmt.Println(err)
		return
	}
	files, err := sops.New("testdata", keys...)
	if err != nil {
		fmt.Println(err)
		return
	}
	doc := config.Memory("app", []byte(`{"dsn": "postgres://app:${sops:db.yaml#postgres.password}@db/shop"}`)) // or any other source
	cfg, err := config.New(config.WithSource(doc), config.WithResolver("sops", files))
	// end snippet
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cfg.Close()
	fmt.Println(cfg.Get("dsn").String(""))
	fmt.Println(cfg.Snapshot())
	// Output:
	// postgres://app:hunter2@db/shop
	// {"dsn":"[redacted]"}
}
