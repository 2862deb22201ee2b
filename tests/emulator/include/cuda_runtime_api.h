// What looks into a graph, of the emulated runtime.
#pragma once

#include "cuda_runtime.h"

typedef struct CUgraphNode_st* cudaGraphNode_t;

/// How many nodes a graph has, for nodes = nullptr; what they are is not told.
cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, std::size_t* count);
