package openfeature

import (
	"context"
	"log/slog"
	"strings"

	"github.com/micro/go-platform/trace"
	of "github.com/open-feature/go-sdk/openfeature"
	"github.com/open-feature/go-sdk/openfeature/telemetry"
)

// Spans is a hook that notes each evaluation as an event of the context's span,
// feature_flag.evaluation, with the attributes that OpenTelemetry's semantic
// conventions and appendix D of OpenFeature's specification name. Values are left
// out, since a configuration may keep what is not for traces; variants are there.
// Without a span that records it does nothing.
//
//	of.AddHooks(openfeature.Spans())
func Spans() of.Hook { return spans{} }

type spans struct{ of.UnimplementedHook }

func (spans) Finally(ctx context.Context, h of.HookContext, d of.InterfaceEvaluationDetails, _ of.HookHints) {
	span := trace.FromContext(ctx)
	if !span.Recording() {
		return
	}
	tags := []trace.Tag{}
	add := func(key, value string) {
		if value != "" {
			tags = append(tags, slog.String(key, value))
		}
	}
	add(telemetry.FlagKey, h.FlagKey())
	add(telemetry.ProviderNameKey, h.ProviderMetadata().Name)
	add(telemetry.ResultVariantKey, d.Variant)
	add(telemetry.ResultReasonKey, strings.ToLower(string(d.Reason)))
	add(telemetry.ContextIDKey, h.EvaluationContext().TargetingKey())
	add(telemetry.ErrorTypeKey, strings.ToLower(string(d.ErrorCode)))
	span.Event(telemetry.FlagEvaluationKey, tags...)
}
