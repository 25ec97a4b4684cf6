/// The pipeline layer: items through stages, with a promise about every item.
#pragma once
#include <brigade/pipeline/engine.hpp>
#include <brigade/pipeline/outcome.hpp>
#include <brigade/pipeline/pipeline.hpp>
#include <brigade/pipeline/policy.hpp>
#include <brigade/pipeline/report.hpp>
#include <brigade/pipeline/sink.hpp>
#include <brigade/pipeline/source.hpp>
#include <brigade/pipeline/stage.hpp>
