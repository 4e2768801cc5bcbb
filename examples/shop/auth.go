package main

import (
	"context"
	"errors"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/issuer"
	"github.com/micro/go-platform/auth/issuer/kvstore"
	"github.com/micro/go-platform/kv"
)

// policies are who may call whom. What no rule allows is denied.
var policies = []auth.Rule{
	{ID: "frontend shows", Effect: auth.Allow, Subjects: []string{"frontend"}, Services: []string{"cart", "orders"}},
	{ID: "frontend reads", Effect: auth.Allow, Subjects: []string{"frontend"}, Services: []string{"catalogue"}, Actions: []string{"/shop.Catalogue/List"}},
	{ID: "frontend shows receipts", Effect: auth.Allow, Subjects: []string{"frontend"}, Services: []string{"payment"}, Actions: []string{"/shop.Payment/Find"}},
	{ID: "orders asks for prices", Effect: auth.Allow, Subjects: []string{"orders"}, Services: []string{"catalogue"}, Actions: []string{"/shop.Catalogue/Quote"}},
}

// openAuth makes this process an issuer of tokens. All processes of the shop keep
// the issuer's state in the shared store, and so are one issuer. Where there is
// an OAuth2 server, oauth2.Backend takes its place.
func (s *shop) openAuth() error {
	shared, err := s.store("shop-issuer")
	if err != nil {
		return err
	}
	state, err := kvstore.New(shared)
	if err != nil {
		return err
	}
	s.issuer, err = issuer.New(issuer.WithStore(state), issuer.WithURL("http://127.0.0.1"))
	if err != nil {
		return err
	}
	s.secrets, err = s.store("shop-secrets")
	return err
}

// auth opens the account of a service, which all its instances use.
func (s *shop) auth(ctx context.Context, service string) ([]auth.Option, error) {
	_, err := s.secrets.Put(ctx, service, []byte(issuer.NewSecret()), kv.IfAbsent())
	if err != nil && !errors.Is(err, kv.ErrExists) {
		return nil, err
	}
	secret, err := s.secrets.Get(ctx, service)
	if err != nil {
		return nil, err
	}
	account := issuer.Account{ID: service, Type: issuer.Service, Audiences: []string{issuer.AnyAudience}}
	err = s.issuer.Create(ctx, account, string(secret.Value))
	if err != nil && !errors.Is(err, issuer.ErrExists) {
		return nil, err
	}
	return []auth.Option{issuer.Backend(s.issuer, service, string(secret.Value)), auth.WithRules(policies...)}, nil
}
