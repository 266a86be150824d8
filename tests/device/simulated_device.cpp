// A device for tests where there is no GPU: PyTorch's spare backend "PrivateUse1", whose memory is the
// host's and whose kernels are the CPU's. Like a GPU it refuses tensors and generators of another
// device, which code that only ever ran on a CPU may pass without being found out. Unlike one it takes
// numbers of the CPU (tensors without dimensions) in all operators, except as an index.

#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>
#include <ATen/NativeFunctions.h>
#include <ATen/SparseCsrTensorImpl.h>
#include <c10/core/Allocator.h>
#include <torch/library.h>

#include <algorithm>
#include <cstdlib>
#include <utility>
#include <vector>

namespace {

using at::IntArrayRef;
using at::Tensor;
using c10::IValue;
using Stack = std::vector<IValue>;
template <typename T>
using Maybe = std::optional<T>;

constexpr auto kDevice = at::DeviceType::PrivateUse1;
constexpr c10::DispatchKeySet kKeys(c10::DispatchKey::PrivateUse1);

struct HostMemory final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    void* memory = std::malloc(std::max<size_t>(bytes, 1));
    return {memory, memory, &std::free, c10::Device(kDevice, 0)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &std::free; }
  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }
};
HostMemory memory;
REGISTER_ALLOCATOR(kDevice, &memory);

bool on_device(const Tensor& x) { return x.defined() && x.device().type() == kDevice; }

at::SparseCsrTensorImpl* csr(const Tensor& x) {
  return static_cast<at::SparseCsrTensorImpl*>(x.unsafeGetTensorImpl());
}

// The same memory as a CPU tensor.
Tensor on_cpu(const Tensor& x) {
  if (!on_device(x)) return x;
  if (x.layout() == at::kSparseCsr) {
    return at::_sparse_compressed_tensor_unsafe(
        on_cpu(csr(x)->compressed_indices()), on_cpu(csr(x)->plain_indices()),
        on_cpu(csr(x)->values()), x.sizes(), x.options().device(at::kCPU));
  }
  TORCH_CHECK(x.layout() == at::kStrided, "the simulated device has no layout ", x.layout());
  const c10::Storage storage = x.storage();
  const int64_t size = storage.nbytes() / x.itemsize();
  // What an operator is to fill may be empty, and is resized by it.
  if (!size) return at::empty(x.sizes(), x.options().device(at::kCPU));
  const Tensor whole = at::from_blob(
      storage.mutable_data(), {size}, [storage](void*) {}, x.options().device(at::kCPU));
  return at::native::as_strided_tensorimpl(whole, x.sizes(), x.strides(), x.storage_offset());
}

Tensor empty_strided(IntArrayRef size, IntArrayRef stride, Maybe<at::ScalarType> dtype,
                     Maybe<at::Layout>, Maybe<at::Device>, Maybe<bool>) {
  const auto type = dtype.value_or(at::kFloat);
  return at::detail::empty_strided_generic(size, stride, &memory, kKeys, type);
}

Tensor empty(IntArrayRef size, Maybe<at::ScalarType> dtype, Maybe<at::Layout>, Maybe<at::Device>,
             Maybe<bool>, Maybe<at::MemoryFormat> format) {
  return at::detail::empty_generic(size, &memory, kKeys, dtype.value_or(at::kFloat), format);
}

Tensor to_device(const Tensor& x) {
  if (!x.defined()) return x;
  if (x.layout() == at::kSparseCsr) {
    return at::_sparse_compressed_tensor_unsafe(
        to_device(x.crow_indices()), to_device(x.col_indices()), to_device(x.values()), x.sizes(),
        x.options().device(c10::Device(kDevice, 0)));
  }
  Tensor made = at::detail::empty_strided_generic(x.sizes(), x.strides(), &memory, kKeys,
                                                  x.scalar_type());
  on_cpu(made).copy_(x);
  return made;
}

bool shares_memory(const Tensor& given, const Tensor& x) {
  return on_device(given) && given.layout() == at::kStrided && x.layout() == at::kStrided &&
         x.numel() && x.storage().data() == given.storage().data();
}

Tensor view_of(const Tensor& base, const Tensor& view) {
  auto made = at::detail::make_tensor<c10::TensorImpl>(c10::TensorImpl::VIEW,
                                                       c10::Storage(base.storage()),
                                                       base.key_set(), base.dtype());
  auto* start = static_cast<const char*>(base.storage().data());
  const auto offset = static_cast<const char*>(view.const_data_ptr()) - start;
  made.unsafeGetTensorImpl()->set_sizes_and_strides(view.sizes(), view.strides(),
                                                    offset / view.itemsize());
  return made;
}

// One call of an operator: its arguments for the CPU, its results for the device.
class Call {
 public:
  explicit Call(const c10::OperatorHandle& op) : op_(op) {}

  void run(Stack* stack) {
    const auto& wanted = op_.schema().arguments();
    auto arguments = torch::jit::pop(*stack, wanted.size());
    for (size_t i = 0; i < wanted.size(); ++i) arguments[i] = moved(arguments[i], wanted[i].name());
    require_one_device();
    const bool sparse = std::any_of(pairs_.begin(), pairs_.end(), [](const auto& pair) {
      return pair.second.defined() && pair.second.layout() == at::kSparseCsr;
    });
    const auto key = sparse ? c10::DispatchKey::SparseCsrCPU : c10::DispatchKey::CPU;
    for (auto& argument : arguments) stack->push_back(std::move(argument));
    op_.redispatchBoxed(c10::DispatchKeySet(key), stack);
    auto results = torch::jit::pop(*stack, op_.schema().returns().size());
    for (auto& result : results) stack->push_back(returned(result));
  }

 private:
  IValue moved(const IValue& value, const std::string& name) {
    if (value.isTensor()) return moved(value.toTensor(), name != "index");
    if (value.isTensorList()) {
      c10::List<Tensor> list;
      for (const Tensor& x : value.toTensorVector()) list.push_back(moved(x, false));
      return list;
    }
    if (value.isOptionalTensorList()) {
      // The indices of x[...], which may lie on the host for a GPU too.
      c10::List<Maybe<Tensor>> list;
      for (const Maybe<Tensor>& x : value.toOptionalTensorVector()) {
        if (x) pairs_.emplace_back(*x, on_cpu(*x));
        list.push_back(x ? Maybe<Tensor>(pairs_.back().second) : std::nullopt);
      }
      return list;
    }
    if (value.isDevice() && value.toDevice().type() == kDevice) return c10::Device(at::kCPU);
    TORCH_CHECK(!value.isGenerator() || value.toGenerator().device().type() == kDevice,
                op_.schema().name(), ": a generator of the CPU for a tensor of the device");
    return value;
  }

  Tensor moved(const Tensor& x, bool may_be_number) {
    pairs_.emplace_back(x, on_cpu(x));
    const bool number = may_be_number && x.defined() && !x.dim();
    if (x.defined() && !on_device(x) && !number) on_host_ = true;
    return pairs_.back().second;
  }

  void require_one_device() const {
    const bool any = std::any_of(pairs_.begin(), pairs_.end(),
                                 [](const auto& pair) { return on_device(pair.first); });
    TORCH_CHECK(!any || !on_host_, op_.schema().name(), ": tensors of the device and of the CPU");
  }

  IValue returned(const IValue& value) {
    if (value.isTensor()) return returned(value.toTensor());
    if (!value.isTensorList()) return value;
    c10::List<Tensor> list;
    for (const Tensor& x : value.toTensorVector()) list.push_back(returned(x));
    return list;
  }

  Tensor returned(const Tensor& x) {
    for (const auto& [given, used] : pairs_) {
      if (!used.is_same(x)) continue;
      if (given.sizes() != x.sizes())
        given.unsafeGetTensorImpl()->shallow_copy_from(to_device(x).getIntrusivePtr());
      return given;
    }
    for (const auto& [given, used] : pairs_) {
      if (shares_memory(given, x)) return view_of(given, x);
    }
    return to_device(x);
  }

  const c10::OperatorHandle& op_;
  std::vector<std::pair<Tensor, Tensor>> pairs_;
  bool on_host_ = false;
};

void fallback(const c10::OperatorHandle& op, Stack* stack) { Call(op).run(stack); }

Tensor copy_from(const Tensor& from, const Tensor& to, bool) {
  on_cpu(to).copy_(on_cpu(from));
  return to;
}
at::Scalar item(const Tensor& x) { return at::_local_scalar_dense(on_cpu(x)); }
Tensor view(const Tensor& x, IntArrayRef size) { return at::native::view(x, size); }
Tensor as_strided(const Tensor& x, IntArrayRef size, IntArrayRef stride, Maybe<int64_t> offset) {
  return at::native::as_strided_tensorimpl(x, size, stride, offset);
}
Tensor& set_whole(Tensor& x, c10::Storage source) { return at::native::set_(x, source); }
Tensor& set(Tensor& x, c10::Storage source, int64_t offset, IntArrayRef size, IntArrayRef stride) {
  return at::native::set_storage_cpu_(x, source, offset, size, stride);
}
Tensor crow(const Tensor& x) { return csr(x)->compressed_indices().alias(); }
Tensor col(const Tensor& x) { return csr(x)->plain_indices().alias(); }
Tensor values(const Tensor& x) { return csr(x)->values().alias(); }
int64_t nnz(const Tensor& x) { return csr(x)->nnz(); }

}  // namespace

TORCH_LIBRARY_IMPL(_, PrivateUse1, m) {
  m.fallback(torch::CppFunction::makeFromBoxedFunction<&fallback>());
}
TORCH_LIBRARY_IMPL(_, SparseCsrPrivateUse1, m) {
  m.fallback(torch::CppFunction::makeFromBoxedFunction<&fallback>());
}
TORCH_LIBRARY_IMPL(_, AutocastPrivateUse1, m) {
  m.fallback(torch::CppFunction::makeFallthrough());
}
TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  m.impl("empty.memory_format", &empty);
  m.impl("empty_strided", &empty_strided);
  m.impl("_copy_from", &copy_from);
  m.impl("_local_scalar_dense", &item);
  m.impl("as_strided", &as_strided);
  m.impl("view", &view);
  m.impl("set_.source_Storage", &set_whole);
  m.impl("set_.source_Storage_storage_offset", &set);
}
TORCH_LIBRARY_IMPL(aten, SparseCsrPrivateUse1, m) {
  m.impl("crow_indices", &crow);
  m.impl("col_indices", &col);
  m.impl("values", &values);
  m.impl("_nnz", &nnz);
}
