// Package openfeature is a provider of feature flags for OpenFeature, whose flags
// are a part of the program's configuration.
//
//	cfg, err := config.New(config.WithSource(store.Source("shop")))
//	provider, err := openfeature.New(cfg)
//	err = of.SetProviderAndWait(provider) // of is github.com/open-feature/go-sdk/openfeature
//
//	on, err := of.NewDefaultClient().BooleanValue(ctx, "new-checkout", false, of.NewEvaluationContext("ann", nil))
//
// # Flags
//
// A flag is the value at "flags.<key>" (WithPath says another path), or an object with
// variants:
//
//	flags:
//	  banner: Welcome                     # one value for everybody
//	  new-checkout:
//	    variants: {on: true, off: false}
//	    default: off                      # the variant of whom no rule fits
//	    rules:                            # the first that fits decides
//	    - match: {plan: pro, country: [DE, AT]}
//	      variant: on
//	    - match: {}                       # everybody else
//	      split: {on: 20}                 # per cent; the rest get the default
//
// A rule fits if each attribute of match is equal to the value there, or to one of
// a list; "targetingKey" is an attribute too. A split draws by the targeting key,
// so that the same user keeps its variant, also when shares grow; by names another
// attribute to draw by. The draw depends on the flag's key, so that the users who
// try one flag are not those who try every other. This is how package router draws
// branches of a rule. With "disabled: true" callers get the default of their code.
//
// An object without variants is a flag whose value is the object. Keys with dots
// are written with a backslash before the dot where config.Path is used; the
// flag's key in code is the plain one.
//
// # Semantics
//
// Flags follow the configuration: a change is one swap of all flags, and
// evaluations read memory. A change that is no valid flag, as with a default that
// is no variant, is refused like any other bad configuration: what was there stays
// in force, and Health of the configuration says why. The provider emits
// PROVIDER_CONFIGURATION_CHANGED with the keys that differ.
//
// # Exposure
//
// Exposures is a hook that publishes which user has seen which variant, for the
// analysis of an experiment. Spans is a hook that notes evaluations in the span of
// the context, with the names of OpenTelemetry's semantic conventions.
//
// # Errors
//
// New returns config.ErrInvalid. Evaluations return the caller's default with
// FLAG_NOT_FOUND, TYPE_MISMATCH, TARGETING_KEY_MISSING (a split without a key to
// draw by), or PROVIDER_NOT_READY after Shutdown.
//
// # Closing
//
// Shutdown ends the subscription to the configuration, which stays open. Close of
// Exposures publishes what waits.
package openfeature
