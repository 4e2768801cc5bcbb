package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/oauth2"
	"github.com/micro/go-platform/engine"
)

func authNoun() *command {
	return &command{
		name: "auth", short: "tokens: get one, verify one",
		long: "The authority is any OAuth2 or OpenID Connect server that publishes its metadata.",
		subs: []*command{authToken(), authVerify()},
	}
}

// authority are the flags of the server and of the client that asks it.
type authority struct {
	target             *target
	client, secretFile *string
	insecure, untyped  *bool
}

func (f *flags) authority() *authority {
	a := &authority{
		client:     f.string("client", "", "`ID` of the client that asks"),
		secretFile: f.string("secret-file", "", "`FILE` with the client's secret; else it is in PLATFORM_AUTH_SECRET"),
		untyped:    f.bool("untyped", "accept tokens that do not say that they are access tokens (Keycloak, Entra ID)"),
		insecure:   f.bool("insecure", "allow plain http to another machine"),
	}
	f.env["client"] = "PLATFORM_AUTH_CLIENT"
	a.target = f.target("auth", "the authority, its issuer identifier")
	return a
}

// name is that of the client, "" for none.
func (a *authority) name(c *call) string { return cmp.Or(*a.client, c.env("PLATFORM_AUTH_CLIENT")) }

// open returns the authority for a service of that name; without one any audience
// will do.
func (a *authority) open(c *call, audiences []string, opts ...oauth2.Option) (auth.Auth, error) {
	client := a.name(c)
	if client != "" {
		secret := c.env("PLATFORM_AUTH_SECRET")
		if *a.secretFile != "" {
			b, err := os.ReadFile(*a.secretFile)
			if err != nil {
				return nil, badUse("%v", err)
			}
			secret = strings.TrimRight(string(b), "\r\n")
		}
		opts = append(opts, oauth2.WithCredentials(client, secret))
	}
	if *a.untyped {
		opts = append(opts, oauth2.WithUntypedTokens())
	}
	if *a.insecure {
		opts = append(opts, oauth2.WithInsecure())
	}
	all, err := options(c, a.target, engine.Scheme(func(url string) auth.Option { return oauth2.Backend(url, opts...) }, "https", "http"))
	if err != nil {
		return nil, err
	}
	if len(audiences) > 0 {
		all = append(all, auth.WithAudience(audiences...))
	} else {
		all = append(all, auth.WithAnyAudience())
	}
	au, err := auth.New(all...)
	if err != nil {
		return nil, err
	}
	c.closes(au.Close)
	return au, nil
}

func authToken() *command {
	return &command{
		name: "token", short: "print a token of a client, by the client credentials grant",
		examples: []string{"platform auth token -audience orders", "curl -s -H \"Authorization: Bearer $(platform auth token -audience orders)\" $ORDERS", "platform auth token -scope read -o json"},
		setup: func(f *flags) action {
			audience := f.string("audience", "", "`NAME` of the service that it is for")
			scopes := f.list("scope", "`SCOPE`; may be given several times")
			a := f.authority()
			return func(ctx context.Context, c *call) error {
				if a.name(c) == "" {
					return badUse("no client: give -client or set PLATFORM_AUTH_CLIENT")
				}
				au, err := a.open(c, nil)
				if err != nil {
					return err
				}
				var opts []auth.TokenOption
				if *audience != "" {
					opts = append(opts, auth.Audience(*audience))
				}
				if len(*scopes) > 0 {
					opts = append(opts, auth.Scopes(*scopes...))
				}
				t, err := au.Token(ctx, opts...)
				if errors.Is(err, auth.ErrUnauthenticated) { // the client's secret, not a token
					return &failure{exitDenied, err.Error()}
				}
				if err != nil {
					return err
				}
				if c.isJSON() {
					return c.json(struct {
						Token   string    `json:"token"`
						Type    string    `json:"type"`
						Expires time.Time `json:"expires,omitzero"`
						Scopes  []string  `json:"scopes,omitempty"`
					}{string(t.AccessToken), t.Type, t.ExpiresAt.UTC(), t.Scopes})
				}
				_, err = fmt.Fprintln(c.out, string(t.AccessToken))
				return err
			}
		},
	}
}

type tokenJSON struct {
	Subject   string         `json:"subject,omitempty"`
	Client    string         `json:"client,omitempty"`
	Issuer    string         `json:"issuer,omitempty"`
	Audience  []string       `json:"audience,omitempty"`
	Scopes    []string       `json:"scopes,omitempty"`
	Roles     []string       `json:"roles,omitempty"`
	ID        string         `json:"id,omitempty"`
	Issued    time.Time      `json:"issued,omitzero"`
	NotBefore time.Time      `json:"notBefore,omitzero"`
	Expires   time.Time      `json:"expires,omitzero"`
	Claims    map[string]any `json:"claims,omitempty"`
}

func authVerify() *command {
	return &command{
		name: "verify", args: "[TOKEN]", max: 1, reads: true, short: "verify a token, and print what it says",
		long:     "Without TOKEN, or if it is \"-\", it is what standard input has. A token that is not accepted is\nexit code 1. Without -audience it is accepted whatever service it is for.",
		examples: []string{"platform auth token -audience orders | platform auth verify -audience orders", "platform auth verify -o json $TOKEN", "platform auth verify abc   # exit 1"},
		setup: func(f *flags) action {
			audiences := f.list("audience", "`NAME`: it must be for that service; may be given several times")
			ask := f.bool("introspect", "ask the authority, which knows what was revoked; takes -client")
			a := f.authority()
			return func(ctx context.Context, c *call) error {
				var opts []oauth2.Option
				if *ask {
					opts = append(opts, oauth2.WithIntrospection())
				}
				au, err := a.open(c, *audiences, opts...)
				if err != nil {
					return err
				}
				t, err := au.Verify(ctx, strings.TrimSpace(string(c.data)))
				if err != nil {
					return err
				}
				return printToken(c, t)
			}
		},
	}
}

func printToken(c *call, t *auth.Token) error {
	if c.isJSON() {
		return c.json(tokenJSON{t.Subject, t.ClientID, t.Issuer, t.Audience, t.Scopes, t.Roles, t.ID, t.IssuedAt.UTC(), t.NotBefore.UTC(), t.ExpiresAt.UTC(), t.Claims})
	}
	expires := c.when(t.ExpiresAt)
	if c.isTable() && expires != "" {
		expires += ", in " + brief(time.Until(t.ExpiresAt))
	}
	out := c.table("CLAIM", "VALUE")
	rows := [][2]string{
		{"subject", t.Subject}, {"client", t.ClientID}, {"issuer", t.Issuer}, {"audience", strings.Join(t.Audience, " ")},
		{"scopes", strings.Join(t.Scopes, " ")}, {"roles", strings.Join(t.Roles, " ")}, {"id", t.ID}, {"issued", c.when(t.IssuedAt)}, {"expires", expires},
	}
	for _, r := range rows {
		if r[1] == "" {
			continue
		}
		if err := out.row(nil, r[0], r[1]); err != nil {
			return err
		}
	}
	for _, name := range otherClaims(t) {
		b, err := json.Marshal(t.Claims[name])
		if err != nil {
			return err
		}
		if err := out.row(nil, name, b); err != nil {
			return err
		}
	}
	return out.end("")
}

// otherClaims are the names of the claims that the rest of a token does not say.
func otherClaims(t *auth.Token) []string {
	said := []string{"sub", "client_id", "azp", "iss", "aud", "scope", "scp", "roles", "jti", "iat", "exp", "nbf", "active", "token_type"}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(t.Claims)), func(name string) bool { return slices.Contains(said, name) })
}
